/** For libraries that take a setting from the environment and from nowhere else. */

/** Runs `work`, which sees the variable with this value unless the user has set it; afterwards nobody does. */
export function withVariable<T>(name: string, value: string, work: () => T): T {
  if (process.env[name] !== undefined) return work();
  process.env[name] = value;
  try {
    return work();
  } finally {
    delete process.env[name];
  }
}
