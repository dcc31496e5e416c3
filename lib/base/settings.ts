/** Settings: typed reads of a process's environment. Only a program's entry point passes `process.env` in here. */
import { StillhouseError } from './errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export class Settings {
  readonly environment: Environment;

  constructor(environment: Environment) {
    this.environment = environment;
  }

  optional(name: string): string | undefined {
    const value = this.environment[name];
    return value === undefined || value === '' ? undefined : value;
  }

  text(name: string, fallback: string): string {
    return this.optional(name) ?? fallback;
  }

  required(name: string, meaning: string): string {
    const value = this.optional(name);
    if (value !== undefined) return value;
    throw new StillhouseError('INVALID_ARGUMENT', `the environment variable ${name} is not set: ${meaning}`, {
      field: name,
      hint: `set ${name} and start again`,
    });
  }

  integer(name: string, fallback: number, range: { min: number; max: number }): number {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= range.min && value <= range.max) return value;
    throw new StillhouseError(
      'INVALID_ARGUMENT',
      `the environment variable ${name} is "${text}", expected a whole number from ${range.min} to ${range.max}`,
      { field: name },
    );
  }

  oneOf<const T extends string>(name: string, fallback: T, values: readonly T[]): T {
    const text = this.text(name, fallback);
    const value = values.find((known) => known === text);
    if (value !== undefined) return value;
    const message = `the environment variable ${name} is "${text}", expected one of ${values.join(', ')}`;
    throw new StillhouseError('INVALID_ARGUMENT', message, { field: name });
  }

  flag(name: string): boolean {
    const text = this.optional(name);
    return text !== undefined && text !== '0' && text !== 'false';
  }
}
