/** The ways in which a job file or a manifest says which architecture is meant. */
import { parseArchitecture } from './architecture-schema.ts';
import type { Architecture } from './layers.ts';
import { type ArchitectureChoice, architectureNamed, buildArchitecture } from './zoo.ts';

/** A list of layers under a name of its own; `parseArchitecture` says what it may hold. */
export interface LayerList {
  readonly name: string;
  readonly layers: readonly unknown[];
  readonly [setting: string]: unknown;
}

/** A name in the zoo, a name with what is changed about it, or layers. */
export type ArchitectureSpec = string | ArchitectureChoice | LayerList;

/** @throws NOT_FOUND for an unknown name; INVALID_ARGUMENT naming the layer or setting at fault */
export function resolveArchitecture(spec: ArchitectureSpec): Architecture {
  if (typeof spec === 'string') return architectureNamed(spec);
  return isLayerList(spec) ? parseArchitecture(spec, spec.name) : buildArchitecture(spec);
}

export function isLayerList(spec: ArchitectureSpec): spec is LayerList {
  return typeof spec !== 'string' && 'layers' in spec;
}

/** For tables and messages. */
export function architectureLabel(spec: ArchitectureSpec): string {
  return typeof spec === 'string' ? spec : spec.name;
}
