import test from 'ava';
import { addressRule, addressText, isAddress, parseAddress } from '../../../../lib/data/places/address.ts';

test('addresses have one form', (t) => {
  const cases = [
    ['https://Data.example.org:443/sets/cifar//', 'https://data.example.org/sets/cifar'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['http://localhost/a/../b/./c/', 'http://localhost/b/c'],
    ['s3://bucket/', 's3://bucket'],
    ['s3://my.bucket-1/deep/prefix_2/', 's3://my.bucket-1/deep/prefix_2'],
  ] as const;
  for (const [text, expected] of cases) t.is(addressText(parseAddress(text)), expected);
  for (const name of ['cifar10', './cifar10', '/data/cifar10', 'C:/data', 'a/b://c']) t.false(isAddress(name), name);
});

test('other addresses are refused, and no password is repeated', (t) => {
  const refused = [
    'ftp://host/a',
    'file:///etc',
    'https://',
    'https://user:geheim@host/a',
    'https://geheim@host/a',
    'https://host/a?b=c',
    'https://host/a#b',
    'https://host/a%2fb',
    'https://host/a/%252e%252e/b',
    'https://host/a%00',
    's3://bucket/a b',
    's3://bucket/ä',
    's3://b:u@cket/geheim',
    's3:///key',
    's3://bucket//key',
  ];
  for (const text of refused) {
    t.true(isAddress(text), text);
    const error = t.throws(() => parseAddress(text), undefined, text);
    t.like(error, { code: 'INVALID_ARGUMENT', field: 'data.dataset' });
    if (text.includes('@')) t.notRegex(error?.message ?? '', /geheim@|:geheim/);
  }
});

test('a prefix allows what lies below it: scheme, host, port and whole parts of the path', (t) => {
  const mayAsk = addressRule(' https://host/data\ts3://bucket/sets/ http://10.0.0.1:9000 ');
  const allowed = ['https://host/data', 'https://host/data/x/y', 's3://bucket/sets/a', 'http://10.0.0.1:9000/any'];
  const refused = [
    'https://host/database',
    'https://host/',
    'https://host/data/../secret',
    'https://host/data/..%2fsecret',
    'https://host/data/%2e%2e/secret',
    'https://host:8443/data',
    'http://host/data',
    'https://host.evil/data',
    'https://evil/https://host/data',
    'https://user@host/data',
    's3://bucket/set',
    's3://bucket2/sets/a',
    'http://10.0.0.1/any',
    'http://169.254.169.254/latest/meta-data',
  ];
  for (const text of allowed) t.true(mayAsk(new URL(text)), text);
  for (const text of refused) t.false(mayAsk(new URL(text)), text);
  t.false(addressRule('')(new URL('https://host/data')));
  t.true(addressRule('*')(new URL('https://anywhere/data')));
  t.false(addressRule('*')(new URL('ftp://anywhere/data')));
  t.throws(() => addressRule('host/data'), { message: /not an address/ });
});
