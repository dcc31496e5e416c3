/** What set-up downloads for the tests alone, pinned by content as in pins.mjs. */

/** Python's names of Node's processors. */
const MACHINES = { x64: 'x86_64', arm64: 'aarch64' };

/** TensorBoard's reader of event files with all that it imports. `keep`: folders of the wheel. */
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
    '3.10-x64': numpy('3.10', 'x64', '2.2.6', 'fc7b73d02efb0e18c000e9ad8b83480dfcd5dfd11065997ed4c6747470ae8915'),
    '3.10-arm64': numpy('3.10', 'arm64', '2.2.6', 'efd28d4e9cd7d7a8d39074a4d44c63eda73401580c5c76acda2ce969e0a38e83'),
    '3.11-x64': numpy('3.11', 'x64', '2.2.6', 'ba10f8411898fc418a521833e014a77d3ca01c15b0c6cdcce6a0d2897e6dbbdf'),
    '3.11-arm64': numpy('3.11', 'arm64', '2.2.6', 'b64d8d4d17135e00c8e346e0a738deb17e754230d7e0810ac5012750bbd85a5a'),
    '3.12-x64': numpy('3.12', 'x64', '2.2.6', 'fd83c01228a688733f1ded5201c678f0c53ecc1006ffbc404db9f7a899ac6249'),
    '3.12-arm64': numpy('3.12', 'arm64', '2.2.6', 'f2618db89be1b4e05f7a1a847a9c1c0abd63e63a1607d892dd54668dd92faf87'),
    '3.13-x64': numpy('3.13', 'x64', '2.2.6', '1bc23a79bfabc5d056d106f9befb8d50c31ced2fbc70eedb8155aec74a45798f'),
    '3.13-arm64': numpy('3.13', 'arm64', '2.2.6', 'f92729c95468a2f4f15e9bb94c432a9229d0d50de67304399627a943201baa2f'),
    '3.14-x64': numpy('3.14', 'x64', '2.3.5', 'fffe29a1ef00883599d1dc2c51aa2e5d80afe49523c261a74933df395c15c520'),
    '3.14-arm64': numpy('3.14', 'arm64', '2.3.5', '727fd05b57df37dc0bcf1a27767a3d9a78cbbc92822445f32cc3436ba797337b'),
  },
  keptBytes: 87_000_000,
};

function tool(requirement, sha256, bytes, keep) {
  return { requirement, sha256, pipPlatform: 'any', bytes, keep };
}

function numpy(python, arch, version, sha256) {
  const pipPlatform = `${python === '3.14' ? 'manylinux_2_28' : 'manylinux_2_17'}_${MACHINES[arch]}`;
  return { ...tool(`numpy==${version}`, sha256, 17_000_000, ['numpy/', 'numpy.libs/']), pipPlatform, python };
}

/** moto's S3 server with all that it imports. */
export const MOTO = {
  version: '5.2.5',
  wheels: [
    tool('moto==5.2.5', 'eef62cdcf3bfe73e0863743511ba042dfaba04ba3d5ecdcb896a196c693ad528', 7_205_137, [
      'moto/__init__.py',
      'moto/backend_index.py',
      'moto/backends.py',
      'moto/cloudwatch/',
      'moto/core/',
      'moto/events/',
      'moto/iam/',
      'moto/moto_api/',
      'moto/moto_server/',
      'moto/s3/',
      'moto/s3bucket_path/',
      'moto/server.py',
      'moto/settings.py',
      'moto/sts/',
      'moto/utilities/',
    ]),
    tool('boto3==1.44.5', '70c3e0409794b29ec1900bcaff0695b73234a2d32ffaed35045b94caa26212a5', 140_158, ['boto3/']),
    tool('botocore==1.44.5', '8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921', 16_555_415, [
      'botocore/',
    ]),
    tool('s3transfer==0.19.3', '24eb7535804306355e31c952a90022bf5b2f9d760f9a11062c7493a217c08553', 90_252, [
      's3transfer/',
    ]),
    tool('jmespath==1.1.0', 'a5663118de4908c91729bea0acadca56526eb2698e83de10cd116ae0f4e97c64', 20_419, ['jmespath/']),
    tool('python-dateutil==2.9.0.post0', 'a8b2bc7bffae282281c8140a97d3aa9c14da0b136dfe83f850eea9a5f7470427', 229_892, [
      'dateutil/',
    ]),
    tool('six==1.17.0', '4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274', 11_050, ['six.py']),
    tool('urllib3==2.8.0', '0cf3cae568d36aa9576b28dfb35f11328f1cb974ca7647d9475ebb86c75ac6e3', 135_717, ['urllib3/']),
    tool('requests==2.34.2', '2a0d60c172f83ac6ab31e4554906c0f3b3588d37b5cb939b1c061f4907e278e0', 73_075, ['requests/']),
    tool('responses==0.26.3', '74474f799334ac4f37d93b6437ecc3bb1bb5c77a8d31780a338643be2dce0af8', 36_289, [
      'responses/',
    ]),
    tool('certifi==2026.10.18', '73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62', 134_093, [
      'certifi/',
    ]),
    tool('charset-normalizer==3.5.2', 'b6b751274acb69d77b3323d6b7dbaa3c7fdfc1eb829b7eb61d262f32e1af9685', 68_872, [
      'charset_normalizer/',
    ]),
    tool('idna==3.20', 'ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c', 69_583, ['idna/']),
    tool('werkzeug==3.1.9', '6392e50c78460ba618e5b21f08a71f59c99ce99cdc6cf6e3dd7e6ccca8754fab', 228_700, ['werkzeug/']),
    tool('flask==3.1.3', 'f4bcbefc124291925f1a26446da31a5178f9483862233b23c0c96a20701f670c', 103_424, ['flask/']),
    tool('flask-cors==6.0.5', '68fcf75693e961f3af26683b23c4b9a8fb6b64de17d20d0c37b95e8de7ab2ed8', 16_692, [
      'flask_cors/',
    ]),
    tool('click==8.5.1', '8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37', 126_163, ['click/']),
    tool('blinker==1.9.0', 'ba0efaa9080b619ff2f3459d1d500c57bddea4a6b424b60a91141db6fd2f08bc', 8_458, ['blinker/']),
    tool('itsdangerous==2.2.0', 'c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef', 16_234, [
      'itsdangerous/',
    ]),
    tool('jinja2==3.1.6', '85ece4451f492d0c13c5dd7c13a64681a86afae63a5f347908daf103ce6d2f67', 134_899, ['jinja2/']),
    tool('xmltodict==1.0.4', 'a4a00d300b0e1c59fc2bfccb53d7b2e88c32f200df138a0dd2229f842497026a', 13_580, [
      'xmltodict.py',
    ]),
    tool('typing-extensions==4.16.0', '481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8', 45_571, [
      'typing_extensions.py',
    ]),
    pureParts('markupsafe==3.0.4', '6da83a088f8ef93b2d483a8232a4dbf4d69d3d8496b568a03c56becac43e1808', 22_961, [
      'markupsafe/',
    ]),
    pureParts('pyyaml==6.0.3', 'b8bb0864c5a28024fac8a632c443c87c5aa6f215c0b126c449ae1a150412f31d', 806_638, ['yaml/']),
  ],
  /** By Node's name of the processor. */
  cryptography: {
    x64: cryptography('x64', '3994c809c17fc570c2af12c9b840d7cea85a9fd3e5c0e0491f4fa3c029216d59', 4_423_075),
    arm64: cryptography('arm64', '81823935e2f8d476707e85a78a405953a03ef7b7b4f55f93f7c2d9680e5e0691', 4_202_233),
  },
  /** What cryptography imports, by Python's version and Node's name of the processor. */
  cffi: {
    '3.10-x64': cffi('3.10', 'x64', '194cffa889098ced9976c3fc6340305e43f6303657d298da55366907c05c22d6'),
    '3.10-arm64': cffi('3.10', 'arm64', '5a59cc1c4442bc3d5c703bf720b51138d0bfc173618807c9ee2490a7541dd3d9'),
    '3.11-x64': cffi('3.11', 'x64', '34e261f78cb6ceaaa36f42f2613f4380d94d9c759a9c73c769ee6e0247364632'),
    '3.11-arm64': cffi('3.11', 'arm64', '3311ed60d36f83378794e1009ac6258bafbf81f7888b4caa7b35a521e3f95813'),
    '3.12-x64': cffi('3.12', 'x64', 'c1453022f490d2459a11819d83ad1d586e9ff65a12ac3e705ffebd46d3685dcf'),
    '3.12-arm64': cffi('3.12', 'arm64', '68e62fe11f30d5ca8289242866f0a5291402d8529ca2178ab8afc5c9694ae890'),
    '3.13-x64': cffi('3.13', 'x64', 'a931079504ecc49efed7744c476a5c343a92fabf66dec2db95edb1b2fdc770e2'),
    '3.13-arm64': cffi('3.13', 'arm64', 'f16c709686a78c727bbbf059f92b0bf41c6fc60deec706d2dc19f529175a6125'),
    '3.14-x64': cffi('3.14', 'x64', 'b0431303acaea1089ad4b3e9ce4e6518193def1118d4073ca848635ee4ea2e96'),
    '3.14-arm64': cffi('3.14', 'arm64', '58acb8ab8e295e6c5ea12f888cbb13cf21511ef2a3303a23f4325c29d17fe5c1'),
  },
  keptBytes: 53_000_000,
};

/** For CPython 3.11 on x86-64; of these the parts in Python, which do without those in C, are used everywhere. */
function pureParts(requirement, sha256, bytes, keep) {
  return { ...tool(requirement, sha256, bytes, keep), pipPlatform: 'manylinux_2_17_x86_64' };
}

function cryptography(arch, sha256, bytes) {
  const pipPlatform = `manylinux_2_17_${MACHINES[arch]}`;
  // Its wheel for CPython 3.7 and later.
  return { ...tool('cryptography==45.0.7', sha256, bytes, ['cryptography/']), pipPlatform, python: '3.10' };
}

function cffi(python, arch, sha256) {
  const machine = MACHINES[arch];
  const keep = [`_cffi_backend.cpython-${python.replace('.', '')}-${machine}-linux-gnu.so`];
  return { ...tool('cffi==2.1.1', sha256, 222_000, keep), pipPlatform: `manylinux_2_17_${machine}`, python };
}

/** A server of the Open Inference Protocol; mlserver-requirements.txt pins its wheels by content. */
export const MLSERVER = {
  version: '1.7.1',
  /** Those that it runs on, of which wheels are pinned. */
  pythons: ['3.11', '3.12'],
  bytes: 109_000_000,
  keptBytes: 520_000_000,
};

/** Go builds it; its checksum database pins what. */
export const GRPCURL = {
  module: 'github.com/fullstorydev/grpcurl/cmd/grpcurl',
  version: '1.9.3',
  keptBytes: 40_000_000,
};
