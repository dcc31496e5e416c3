/** What tfjs-node has beyond tfjs: SavedModels and files. After the engine, which keeps TensorFlow's library in memory. */
import '../../lib/engine/tf.ts';

export { default as tfNode } from '@tensorflow/tfjs-node-gpu';
