"""What Redis does at one stroke, in its own language.

Names are those of `Names`. A generation is a text that nobody can guess; "" stands for none.
"""

MARK_S = 600  # for so long it is known that a URI was invalidated of which nothing was kept
FETCH_S = MARK_S - 60  # an answer that was asked for before that is not kept: it may be older than what is known

# KEYS: a generation. ARGV: a new one, for how many seconds it is kept at least, or 0 for ever; a channel, and what is
# said there to whoever listens. Who may not say anything still invalidates.
FORGET = """
if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], ARGV[1])
else
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return 1
"""

# KEYS: everything's generation, the URI's, a value. ARGV: the last byte of it to return, a generation of everything for
# where there is none yet: else of the answers that are fetched side by side at first only one would be kept.
# Returns: both generations, the time in seconds, the value up to that byte, for how many ms it is still kept.
LOOK = """
redis.pcall('SET', KEYS[1], ARGV[2], 'NX')
return {redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or '', redis.call('TIME')[1],
        redis.call('GETRANGE', KEYS[3], 0, ARGV[1]), redis.call('PTTL', KEYS[3])}
"""

# KEYS: everything's generation, the URI's, the primary name; of a varying answer: its list of variants, the variant.
# ARGV: the time and both generations as LOOK returned them, the generations that the value bears, for how many ms it is
#       kept, the value; of a varying answer: by what, and how many variants are kept.
# Returns 1; 0 where a generation is not as it was, or too much time has passed.
KEEP = f"""
local passed_s = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[1])
local everything, uri = redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or ''
if everything ~= ARGV[2] or uri ~= ARGV[3] or passed_s < 0 or passed_s > {FETCH_S} then return 0 end
local kept_ms = tonumber(ARGV[6])
if everything == '' then redis.call('SET', KEYS[1], ARGV[4]) end
if uri == '' then
    redis.call('SET', KEYS[2], ARGV[5], 'PX', kept_ms)
elseif redis.call('PTTL', KEYS[2]) < kept_ms then
    redis.call('PEXPIRE', KEYS[2], kept_ms)
end
if #KEYS == 3 then
    redis.call('SET', KEYS[3], ARGV[7], 'PX', kept_ms)
    return 1
end
redis.call('SET', KEYS[3], ARGV[8], 'PX', kept_ms)
redis.call('SET', KEYS[5], ARGV[7], 'PX', kept_ms)
redis.call('LREM', KEYS[4], 0, KEYS[5])
redis.call('LPUSH', KEYS[4], KEYS[5])
while redis.call('LLEN', KEYS[4]) > tonumber(ARGV[9]) do
    redis.call('DEL', redis.call('RPOP', KEYS[4]))
end
if redis.call('PTTL', KEYS[4]) < kept_ms then redis.call('PEXPIRE', KEYS[4], kept_ms) end
return 1
"""
