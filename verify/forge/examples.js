// Takes GitHub's own example of each answer that the client reads, drops or mends what does not fit GitHub's own schema,
// and writes them to a file, into which the tests' fake puts its answers.
'use strict';
const fs = require('fs');
const { load, absolute, resolve, validator } = require('./description.js');

const { whole, schemas } = load('api.github.com.json');
const ajv = validator(schemas);
const wanted = ['git-tree', 'git-commit', 'pull-request', 'label', 'issue-comment', 'installation-token'];
// One of a list, where GitHub has an example of the list only.
const listed = { 'pull-request-simple': ['pull-request-simple-items'], 'workflow-run': ['workflow-run-paginated', 'workflow_runs'] };
const out = {};
for (const name of [...wanted, ...Object.keys(listed)]) {
  const [of, member] = listed[name] ?? [name];
  const read = resolve(whole, whole.components.examples[of]).value;
  const example = listed[name] ? (member ? read[member] : read)[0] : read;
  const check = ajv.compile(absolute({ $ref: `#/components/schemas/${name}` }));
  for (let round = 0; round < 50 && !check(example); round++) {
    for (const error of check.errors) mend(example, error, name);
  }
  if (!check(example)) {
    console.error(`the example ${name} cannot be mended: ${JSON.stringify(check.errors.slice(0, 5))}`);
    process.exit(1);
  }
  out[name] = example;
}
fs.writeFileSync(process.argv[2], JSON.stringify(out));
console.log(`   ${Object.keys(out).length} examples`);

function mend(example, error, name) {
  const parts = error.instancePath.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const at = (upto) => upto.reduce((value, part) => (value == null ? value : value[part]), example);
  if (error.keyword === 'required') {
    const target = at(parts);
    if (target) target[error.params.missingProperty] = sample(name, error);
    return;
  }
  const parent = at(parts.slice(0, -1));
  const last = parts.at(-1);
  if (parent == null || last === undefined) return;
  if (error.keyword === 'type') parent[last] = ofType([].concat(error.params.type)[0]);
  else if (error.keyword === 'enum') parent[last] = error.params.allowedValues[0];
  else if (error.keyword === 'format') parent[last] = 'https://api.github.com/';
  else delete parent[last];
}

function sample(name, error) {
  const property = error.params.missingProperty;
  const schema = error.parentSchema?.properties?.[property];
  return schema?.type ? ofType([].concat(schema.type)[0], schema) : 'https://api.github.com/';
}

function ofType(type, schema) {
  if (schema?.enum) return schema.enum[0];
  return { string: 'https://api.github.com/', integer: 1, number: 1, boolean: false, array: [], object: {}, null: null }[type];
}
