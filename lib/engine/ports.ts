/** What models of other frameworks say of their inputs and outputs. */

export interface PortFact {
  readonly name: string;
  /** `float32`, `uint8` and so on, as most frameworks call them. */
  readonly type: string;
  /** -1 for a length that the caller decides; null where nothing is said. */
  readonly shape: readonly number[] | null;
}
