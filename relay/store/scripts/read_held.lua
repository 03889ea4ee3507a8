#!lua flags=allow-oom
-- What a session holds: for a worker that lost an answer.
-- KEYS: 1 lanes
-- ARGV: 1 the source's prefix, 2 session
-- RETURNS: {endpoint, 'held', {references in flight}, {key, number of the event that it waits for, …}} for each lane
-- ATOMIC BECAUSE another session may take a lane between the look at its holder and the look at its flight.
local lanes = KEYS[1]
local prefix, session = ARGV[1], ARGV[2]
local held, owners = {}, redis.call('HGETALL', lanes)
for i = 1, #owners, 2 do
  if owners[i + 1] == session then
    local endpoint = owners[i]
    held[#held + 1] = {
      endpoint, 'held', redis.call('SMEMBERS', prefix .. 'flight:' .. endpoint),
      redis.call('HGETALL', prefix .. 'blocked:' .. endpoint),
    }
  end
end
return held
