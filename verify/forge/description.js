// GitHub's OpenAPI description as JSON schemas for ajv: OpenAPI 3.0's `nullable` becomes a type, references stay.
'use strict';
const fs = require('fs');
const path = require('path');

const folder = path.join(process.env.NODE_PATH, '@octokit/openapi/generated');

function plain(schema) {
  if (Array.isArray(schema)) return schema.map(plain);
  if (schema === null || typeof schema !== 'object') return schema;
  const out = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'nullable' || key === 'example' || key === 'examples' || key === 'discriminator') continue;
    out[key] = key === 'enum' || key === 'default' ? value : plain(value);
  }
  if (schema.nullable === true) {
    if (out.enum && !out.enum.includes(null)) out.enum = [...out.enum, null];
    if (typeof out.type === 'string') out.type = [out.type, 'null'];
    else if (!out.type) return { anyOf: [out, { type: 'null' }] };
  }
  return out;
}

exports.load = function load(file) {
  const whole = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
  const schemas = { $id: 'github', components: { schemas: plain(whole.components.schemas) } };
  return { whole, schemas, plain };
};

// A schema of the description, its references made absolute.
exports.absolute = function absolute(schema) {
  return JSON.parse(JSON.stringify(plain(schema)).replaceAll('"#/components/', '"github#/components/'));
};

// Where one lies behind a reference of the description.
exports.resolve = function resolve(whole, node) {
  if (!node || !node.$ref) return node;
  return node.$ref.slice(2).split('/').reduce((at, part) => at[part], whole);
};

exports.validator = function validator(schemas) {
  const Ajv = require('ajv').default;
  const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false, unicodeRegExp: false });
  require('ajv-formats').default(ajv);
  for (const format of ['repo.nwo', 'timestamp', 'ssh-key', 'binary']) ajv.addFormat(format, true);
  ajv.addSchema(schemas);
  return ajv;
};
