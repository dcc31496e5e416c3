/** The schema of lists of classes. */
import { z } from 'zod';
import { text, whole } from './schema-parts.ts';

const list = z.array(
  z.union([text('a class name'), whole(0)], 'a class name or a class id'),
  'a list of class names or ids',
);

/** At least two classes. */
export const classes = list.min(2, 'at least two classes');

/** Those that one of several teachers answers for. */
export const someClasses = list.min(1, 'at least one class');
