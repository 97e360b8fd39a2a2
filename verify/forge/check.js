// Holds a record of exchanges against GitHub's descriptions. Prints a line "ok …" or "FAIL …" for each kind of call, with
// how many of them were seen; a call that no description knows is a failure.
'use strict';
const fs = require('fs');
const path = require('path');
const { load, absolute, resolve, validator } = require('./description.js');
const graphql = require('graphql');

const ENTERPRISE = 'ghes-3.19.json';
const ENTERPRISE_PREFIX = '/api/v3';

const lines = fs.readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean);
const record = lines.map((line) => JSON.parse(line));
let results = new Map();

function note(name, problem, exchange) {
  const found = results.get(name) ?? { seen: 0, problems: [] };
  found.seen += 1;
  if (problem) found.problems.push(`${problem} <- ${JSON.stringify(exchange).slice(0, 300)}`);
  results.set(name, found);
}

// --- REST ---------------------------------------------------------------------------------------------------------

class Description {
  constructor(file, label) {
    const { whole, schemas } = load(file);
    this.whole = whole;
    this.label = label;
    this.ajv = validator(schemas);
    this.compiled = new Map();
    this.routes = Object.keys(whole.paths).map((route) => ({
      route,
      literal: route.split('/').filter((part) => part && !part.startsWith('{')).length,
      pattern: new RegExp(`^${route.replace(/[.+*]/g, '\\$&').replace(/\{[^}]+\}/g, '([^/]+)')}$`),
    }));
  }

  find(method, pathname) {
    const fits = this.routes.filter((one) => one.pattern.test(pathname) && this.whole.paths[one.route][method]);
    fits.sort((a, b) => b.literal - a.literal);
    return fits[0];
  }

  valid(key, schema, value) {
    if (!this.compiled.has(key)) this.compiled.set(key, this.ajv.compile(absolute(schema)));
    const check = this.compiled.get(key);
    return check(value) ? null : check.errors.slice(0, 3).map((e) => `${e.instancePath} ${e.message}`).join(', ');
  }

  check(exchange) {
    const method = exchange.method.toLowerCase();
    const [raw, query] = exchange.target.split('?');
    const pathname = raw.startsWith(ENTERPRISE_PREFIX) ? raw.slice(ENTERPRISE_PREFIX.length) : raw;
    const found = this.find(method, pathname);
    if (!found) return note(`${this.label} ${exchange.method} ${pathname}`, 'no such call in the description', exchange);
    const name = `${this.label} ${exchange.method} ${found.route}`;
    const item = this.whole.paths[found.route];
    const operation = item[method];
    const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((one) => resolve(this.whole, one));
    const values = found.pattern.exec(pathname).slice(1).map(decodeURIComponent);
    const names = [...found.route.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]);
    const problems = [];
    names.forEach((parameter, index) => {
      const described = parameters.find((one) => one.in === 'path' && one.name === parameter);
      if (!described) return problems.push(`path parameter ${parameter} is not described`);
      const number = described.schema.type === 'integer' ? Number(values[index]) : values[index];
      const error = this.valid(`${name} ${parameter}`, described.schema, number);
      if (error) problems.push(`path parameter ${parameter}: ${error}`);
    });
    for (const [key] of new URLSearchParams(query ?? '')) {
      if (!parameters.some((one) => one.in === 'query' && one.name === key)) problems.push(`unknown query parameter ${key}`);
    }
    problems.push(...this.body(name, operation, exchange));
    if (!exchange.fault) problems.push(...this.answer(name, operation, exchange));
    if (exchange.headers.accept !== 'application/vnd.github+json') problems.push('no Accept header');
    if (!exchange.headers['x-github-api-version']) problems.push('no API version');
    if (!exchange.headers['user-agent']) problems.push('no User-Agent');
    note(name, problems[0], exchange);
    rights(exchange, found.route);
  }

  body(name, operation, exchange) {
    const described = resolve(this.whole, operation.requestBody)?.content?.['application/json']?.schema;
    if (exchange.body === null) return described && operation.requestBody.required ? ['the body is missing'] : [];
    if (!described) return ['a body where the description has none'];
    const problems = [];
    const error = this.valid(`${name} request`, described, exchange.body);
    if (error) problems.push(`request: ${error}`);
    const members = new Set([described, ...(described.oneOf ?? []), ...(described.anyOf ?? [])]
      .map((one) => resolve(this.whole, one)).flatMap((one) => Object.keys(one.properties ?? {})));
    const strange = Object.keys(exchange.body).find((key) => !members.has(key));
    if (strange) problems.push(`unknown member ${strange} in the request`);
    return problems;
  }

  answer(name, operation, exchange) {
    // Any call may be refused for its credentials, or be for something that moved or is gone; not all of them say so.
    const everywhere = [301, 401, 404];
    const described = resolve(this.whole, operation.responses[exchange.status]);
    if (!described) return everywhere.includes(exchange.status) ? [] : [`status ${exchange.status} is not described`];
    const schema = described.content?.['application/json']?.schema;
    if (!schema) return exchange.reply === null ? [] : [`status ${exchange.status} has no body`];
    const error = this.valid(`${name} ${exchange.status}`, schema, exchange.reply);
    return error ? [`answer: ${error}`] : [];
  }
}

// --- rights -------------------------------------------------------------------------------------------------------

const permissions = require('@octokit/app-permissions')['api.github.com'].paths;
const needed = new Map();

function rights(exchange, route) {
  if (route.startsWith('/app/')) return;
  const wanted = permissions[route]?.[exchange.method];
  const key = `${exchange.method} ${route}`;
  if (!wanted) return note(`rights of ${key}`, 'not in @octokit/app-permissions', exchange);
  needed.set(key, `${wanted.permission}: ${wanted.access}`);
  const granted = route.includes('/actions/') ? { actions: 'write', contents: 'read' } : { contents: 'write', pull_requests: 'write' };
  const enough = granted[wanted.permission] === 'write' || granted[wanted.permission] === wanted.access;
  note(`rights of ${key} (${wanted.permission}: ${wanted.access})`, enough ? null : 'the App does not ask for it', exchange);
}

// --- GraphQL ------------------------------------------------------------------------------------------------------

const sdl = path.join(process.env.NODE_PATH, '@octokit/graphql-schema/schema.graphql');
// The published file defines two fields twice, which a strict reading refuses.
const schema = graphql.buildSchema(fs.readFileSync(sdl, 'utf8'), { assumeValidSDL: true });

function checkGraphql(exchange) {
  const { query, variables, ...more } = exchange.body;
  const document = graphql.parse(query);
  const operation = document.definitions.find((one) => one.kind === 'OperationDefinition');
  const name = `GraphQL ${operation.operation} ${operation.name.value}`;
  const problems = graphql.validate(schema, document).map((error) => error.message);
  if (Object.keys(more).length) problems.push(`unknown member ${Object.keys(more)[0]}`);
  const coerced = graphql.getVariableValues
    ? graphql.getVariableValues(schema, operation.variableDefinitions ?? [], variables)
    : require('graphql/execution').getVariableValues(schema, operation.variableDefinitions ?? [], variables);
  problems.push(...(coerced.errors ?? []).map((error) => error.message));
  for (const definition of operation.variableDefinitions ?? []) {
    if (!(definition.variable.name.value in variables)) problems.push(`variable ${definition.variable.name.value} is missing`);
  }
  const extra = Object.keys(variables).find((key) => !(operation.variableDefinitions ?? []).some((one) => one.variable.name.value === key));
  if (extra) problems.push(`variable ${extra} is not declared`);
  if (!exchange.fault && exchange.status === 200 && exchange.reply?.data) {
    const fragments = Object.fromEntries(document.definitions.filter((one) => one.kind === 'FragmentDefinition').map((one) => [one.name.value, one]));
    const root = operation.operation === 'query' ? schema.getQueryType() : schema.getMutationType();
    walk(exchange.reply.data, root, [operation.selectionSet], fragments, 'data', problems);
  }
  note(name, problems[0], exchange);
}

// Whether an answer has the members that were asked for, each of its type, and no others.
function walk(value, type, selections, fragments, where, problems) {
  if (graphql.isNonNullType(type)) {
    if (value === null || value === undefined) return problems.push(`${where} is null`);
    return walk(value, type.ofType, selections, fragments, where, problems);
  }
  if (value === null || value === undefined) return;
  if (graphql.isListType(type)) {
    if (!Array.isArray(value)) return problems.push(`${where} is no list`);
    return value.forEach((one, index) => walk(one, type.ofType, selections, fragments, `${where}[${index}]`, problems));
  }
  if (graphql.isLeafType(type)) {
    const fits = { Int: Number.isInteger(value), Boolean: typeof value === 'boolean' }[type.name] ?? typeof value === 'string';
    if (!fits) problems.push(`${where} is no ${type.name}`);
    if (graphql.isEnumType(type) && !type.getValue(value)) problems.push(`${where} is no ${type.name}`);
    if (type.name === 'DateTime' && Number.isNaN(Date.parse(value))) problems.push(`${where} is no time`);
    if (type.name === 'GitObjectID' && !/^[0-9a-f]{40}$/.test(value)) problems.push(`${where} is no object id`);
    return;
  }
  // An interface's or union's value is one of its types; ours are commits, trees and blobs.
  const possible = graphql.isAbstractType(type) ? schema.getPossibleTypes(type) : [type];
  const tries = possible.map((one) => {
    const found = [];
    members(value, one, selections, fragments, where, found);
    return found;
  });
  tries.sort((a, b) => a.length - b.length);
  problems.push(...tries[0]);
}

function members(value, type, selections, fragments, where, problems) {
  const wanted = new Map();
  const collect = (selection) => {
    for (const one of selection.selections) {
      if (one.kind === 'Field') {
        const key = (one.alias ?? one.name).value;
        const sets = wanted.get(key)?.sets ?? [];
        wanted.set(key, { name: one.name.value, sets: one.selectionSet ? [...sets, one.selectionSet] : sets });
        continue;
      }
      const fragment = one.kind === 'FragmentSpread' ? fragments[one.name.value] : one;
      const on = schema.getType(fragment.typeCondition.name.value);
      if (on === type || (graphql.isAbstractType(on) && schema.isSubType(on, type))) collect(fragment.selectionSet);
    }
  };
  selections.forEach(collect);
  for (const [key, { name, sets }] of wanted) {
    if (!(key in value)) problems.push(`${where}.${key} is missing`);
    else walk(value[key], type.getFields()[name].type, sets, fragments, `${where}.${key}`, problems);
  }
  const strange = Object.keys(value).find((key) => !wanted.has(key));
  if (strange) problems.push(`${where}.${strange} was not asked for`);
}

// --- all ----------------------------------------------------------------------------------------------------------

const isGraphql = (exchange) => /\/graphql$/.test(exchange.target);
const isEnterprise = (exchange) => exchange.target.startsWith('/api/');
for (const exchange of record.filter(isGraphql)) {
  const expected = isEnterprise(exchange) ? '/api/graphql' : '/graphql';
  if (exchange.target !== expected) note('GraphQL address', `posted to ${exchange.target}`, exchange);
  checkGraphql(exchange);
}
for (const [file, label, pick] of [
  ['api.github.com.json', 'github.com', (one) => !isEnterprise(one)],
  [ENTERPRISE, ENTERPRISE.replace('.json', ''), isEnterprise],
]) {
  const rest = record.filter((one) => !isGraphql(one) && pick(one));
  if (!rest.length) note(label, 'nothing was recorded', {});
  const description = new Description(file, label);
  rest.forEach((exchange) => description.check(exchange));
}
// A check that cannot fail is none: the same exchanges with one mistake each must be refused.
const pull = record.find((one) => one.method === 'POST' && one.target.endsWith('/pulls') && one.status === 201 && !isEnterprise(one));
const read = record.find((one) => isGraphql(one) && one.status === 200 && one.reply?.data?.repository && one.body.query.includes('HodoscopeState'));
const honest = results;
const rest = new Description('api.github.com.json', 'github.com');
for (const [mistake, exchange, change] of [
  ['an unknown member of a request', pull, (one) => { one.body.colour = 'red'; }],
  ['a member of the wrong type', pull, (one) => { one.body.draft = 'yes'; }],
  ['a missing member', pull, (one) => { delete one.body.head; }],
  ['an unknown path', pull, (one) => { one.target += '/new'; }],
  ['an unknown query parameter', pull, (one) => { one.target += '?fast=1'; }],
  ['a method that is not there', pull, (one) => { one.method = 'PUT'; }],
  ['an answer that breaks its schema', pull, (one) => { one.reply.number = 'one'; }],
  ['a status that is not described', pull, (one) => { one.status = 299; }],
  ['a field that no type has', read, (one) => { one.body.query = one.body.query.replace('isDraft', 'isDrafty'); }],
  ['a variable that is not given', read, (one) => { delete one.body.variables.base; }],
  ['a variable of the wrong type', read, (one) => { one.body.variables.base = 7; }],
  ['an answer without a member that was asked for', read, (one) => { delete one.reply.data.repository.id; }],
  ['an answer with null where it may not be', read, (one) => { one.reply.data.repository.nameWithOwner = null; }],
]) {
  results = new Map();
  const wrong = JSON.parse(JSON.stringify(exchange));
  change(wrong);
  if (isGraphql(wrong)) checkGraphql(wrong);
  else rest.check(wrong);
  const refused = [...results.values()].some((one) => one.problems.length);
  honest.set(`refuses ${mistake}`, { seen: 1, problems: refused ? [] : ['it was accepted'] });
}
results = honest;

// What must have been seen, so that a record that lacks it does not pass.
for (const name of ['GraphQL query HodoscopeState', 'GraphQL query HodoscopeFolder', 'GraphQL query HodoscopePulls', 'GraphQL mutation HodoscopeMove',
  'GraphQL mutation HodoscopeDraft', 'GraphQL mutation HodoscopeReady',
  'github.com POST /repos/{owner}/{repo}/git/trees', 'github.com POST /repos/{owner}/{repo}/git/commits',
  'github.com POST /repos/{owner}/{repo}/pulls', 'github.com PATCH /repos/{owner}/{repo}/pulls/{pull_number}',
  'github.com POST /repos/{owner}/{repo}/issues/{issue_number}/labels', 'github.com POST /repos/{owner}/{repo}/labels',
  'github.com DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}',
  'github.com POST /repos/{owner}/{repo}/issues/{issue_number}/comments',
  'github.com GET /repos/{owner}/{repo}/pulls',
  'github.com GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs',
  'github.com POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches',
  'github.com POST /app/installations/{installation_id}/access_tokens']) {
  if (!results.has(name)) note(name, 'was never sent', {});
}
for (const [name, { seen, problems }] of [...results].sort()) {
  if (!problems.length) console.log(`ok    ${name}: ${seen} exchanges`);
  else console.log(`FAIL  ${name}: ${problems.length} of ${seen}: ${problems[0]}`);
}
