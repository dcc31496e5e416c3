/** Whether a route that was put from outside makes sense. */
import { StillhouseError } from '../../lib/base/errors.ts';
import { parseModelManifest } from '../../lib/model/model-manifest.ts';
import type { ModelRecord, RouteRecord } from '../../lib/wire/records.ts';
import { dustbinObstacle, ROUTE_RULES } from '../../lib/wire/route-rules.ts';

const NAME = /^[a-zA-Z0-9][-_.a-zA-Z0-9]{0,62}$/;

/** INVALID_ARGUMENT, `field` naming what is wrong; FAILED_PRECONDITION when a leg's model is not published. */
export async function checkRoute(
  route: RouteRecord,
  findModel: (digest: string) => Promise<ModelRecord | undefined>,
): Promise<void> {
  const { name, rule, classNames, legs } = route;
  expect(NAME.test(name), 'route.name', `"${name}" is not 1 to 63 letters, digits, "-", "_" and "."`);
  expect(ROUTE_RULES.includes(rule), 'route.rule', `"${rule}" is no rule, expected one of ${ROUTE_RULES.join(', ')}`);
  expect(classNames.length > 0, 'route.class_names', 'there are no classes');
  expect(new Set(classNames).size === classNames.length, 'route.class_names', 'a class is named twice');
  expect(legs.length > 0, 'route.legs', 'there are no legs');
  expect(
    new Set(legs.map(({ specialist }) => specialist)).size === legs.length,
    'route.legs',
    'a specialist is named twice',
  );
  for (const [at, leg] of legs.entries()) {
    const field = `route.legs[${at}]`;
    expect(NAME.test(leg.specialist), `${field}.specialist`, `"${leg.specialist}" is no name`);
    expect(
      leg.classIds.every((id) => id < classNames.length),
      `${field}.class_ids`,
      'a class id is not in class_names',
    );
    expect(new Set(leg.classIds).size === leg.classIds.length, `${field}.class_ids`, 'a class id is there twice');
    const model = await findModel(leg.modelDigest);
    if (model === undefined) {
      throw new StillhouseError('FAILED_PRECONDITION', `${field}.model_digest: ${leg.modelDigest} is not published`, {
        field: `${field}.model_digest`,
        hint: 'ListModels names what is',
      });
    }
    const manifest = parseModelManifest(new TextEncoder().encode(model.manifestJson), `model ${model.name}`);
    const classes = manifest.classNames.length;
    expect(
      leg.classIds.length === classes,
      `${field}.class_ids`,
      `the model has ${classes} classes, there are ${leg.classIds.length} class ids`,
    );
    const { dustbin = false } = manifest;
    expect(
      leg.dustbin === dustbin,
      `${field}.dustbin`,
      `the model has ${dustbin ? 'a' : 'no'} dustbin, expected ${dustbin}, got ${leg.dustbin}`,
    );
  }
  if (rule === 'dustbin') checkDustbins(route);
}

/** Each leg's dustbin has to stand for the classes of the others. */
function checkDustbins({ classNames, legs }: RouteRecord): void {
  const obstacle = dustbinObstacle(legs);
  if (obstacle === undefined) return;
  const nameOf = (leg: number) => legs[leg]?.specialist;
  if (obstacle.kind === 'no-dustbin') {
    throw refusal('route.rule', `dustbin needs models with a dustbin, that of ${nameOf(obstacle.leg)} has none`);
  }
  const [first, second] = obstacle.legs;
  const both = `${nameOf(first)} and ${nameOf(second)} share "${classNames[obstacle.classId]}"`;
  throw refusal('route.rule', `dustbin needs legs without common classes, ${both}`);
}

function expect(condition: boolean, field: string, text: string): void {
  if (!condition) throw refusal(field, text);
}

function refusal(field: string, text: string): StillhouseError {
  return new StillhouseError('INVALID_ARGUMENT', `${field}: ${text}`, { field });
}
