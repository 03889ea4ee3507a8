#!lua flags=allow-oom
-- Give a consumer of a poller its next iterator, and note what it acknowledged.
-- KEYS: 1 consumers of the endpoint (hash)
-- ARGV: 1 consumer, 2 what it does: 'resume' (it sent no iterator), 'acknowledge' or 'seek', 3 the iterator that it
--   sent; to resume, the one that the caller read as acknowledged; to seek, the new one, 4 the iterator that it is given,
--   5 the most consumers of an endpoint, 6 ms that they are kept
-- RETURNS: 'ok'; or without having changed anything 'passed' (another client went on with this consumer) or 'many'
-- ATOMIC BECAUSE two clients with one iterator must not both go on from it.
local consumers = KEYS[1]
local consumer, verb, sent, given, most, lives = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]

local acknowledged, last = '', ''
local found = redis.call('HGET', consumers, consumer)
if found then
  -- A value that can't be read is of no use: the consumer begins again.
  local first, second = string.match(found, '^([^\n]*)\n([^\n]*)$')
  acknowledged, last = first or '', second or ''
elseif redis.call('HLEN', consumers) >= most then
  return 'many'
end
if verb == 'resume' then
  if sent ~= acknowledged then return 'passed' end
elseif verb == 'seek' or last == '' or sent == last then
  acknowledged = sent
elseif sent ~= acknowledged then
  return 'passed'
end
redis.call('HSET', consumers, consumer, acknowledged .. '\n' .. given)
redis.call('PEXPIRE', consumers, lives)
return 'ok'
