/** Several command lines one after another in one process: its argument is their list, as JSON. */
import { main } from '../../cli/main.ts';

for (const args of JSON.parse(process.argv[2] as string) as string[][]) {
  const code = await main(args);
  process.stdout.write(`\0${code}\0`);
  process.stderr.write('\0');
}
