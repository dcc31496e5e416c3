/** The command line without the set-up that `bin/stillhouse.mjs` runs first. */
import { main } from '../../cli/main.ts';

process.exit(await main(process.argv.slice(2)));
