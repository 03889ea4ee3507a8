#!lua
-- Take the idempotency key of a request, or find out what became of the request that had it before.
-- KEYS: 1 what is known of the key (hash)
-- ARGV: 1 the digest of the request's content, 2 a token of this run, which is also the letters of the id of what it makes,
--   3 ms that a run may hold the key, 4 ms that the key is kept, 5 the digest as the release before wrote it
-- RETURNS: {'begun', the letters of the id}, or without having changed anything {'other'} the content was another one,
--   {'running'} the same request runs, {'answered', the sealed answer}
-- ATOMIC BECAUSE two processes must not begin the same request.
local known = KEYS[1]
local content, token, held, kept = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local before = redis.call('HMGET', known, 'content', 'answer', 'until', 'letters')
if before[1] and before[1] ~= content and before[1] ~= ARGV[5] then return {'other'} end
if before[2] then return {'answered', before[2]} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if before[3] and tonumber(before[3]) > now then return {'running'} end
local letters = before[4] or token
redis.call('HSET', known, 'content', content, 'letters', letters, 'token', token,
  'until', string.format('%.0f', now + held))
redis.call('PEXPIRE', known, kept)
return {'begun', letters}
