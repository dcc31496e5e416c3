/** The samples that a job leaves out, in its record. */
import test from 'ava';
import type { BadSample } from '../../../lib/data/dataset.ts';
import { skippedSamples } from '../../../services/coordinator/skipped-samples.ts';

test('what is short stays; of a long path the file is kept, of a long reason the beginning', (t) => {
  const short: BadSample = { id: 7, source: 'train/ash/7.jpg', reason: 'cannot be decoded: it is damaged or cut off' };
  const long: BadSample = {
    id: 9,
    source: `train/${'very/'.repeat(100)}deep/9.jpg (image 9, offset 400)`,
    reason: `${short.reason} ${'and so on '.repeat(50)}`,
  };
  const [kept, cut] = skippedSamples([short, long]);
  t.deepEqual(kept, short);
  t.is(cut?.id, 9);
  t.regex(cut?.source ?? '', /^…(very|ery|ry|y|\/).*\/deep\/9\.jpg \(image 9, offset 400\)$/);
  t.regex(cut?.reason ?? '', /^cannot be decoded: it is damaged or cut off and so on .*…$/);
});

for (const [what, character] of Object.entries({
  plain: 'a',
  wide: '漢',
  astral: '🌲',
  escaped: '\u0001',
  quoted: '"',
})) {
  test(`a thousand of them fit into a message with room to spare: ${what}`, (t) => {
    const text = character.repeat(2000);
    const badSamples = Array.from({ length: 1000 }, (_, index) => ({
      id: 0xffffffff - index,
      source: text,
      reason: text,
    }));
    const skipped = skippedSamples(badSamples);
    t.true(Buffer.byteLength(JSON.stringify(skipped)) < 256 * 1024);
    for (const { source, reason } of skipped) {
      t.true(source.startsWith('…') && reason.endsWith('…'));
      t.true(source.replace('…', '').length > 10);
      t.notRegex(source + reason, /\p{Surrogate}/u);
    }
  });
}
