-- Sends the requests of a file in turn and compares every answer with the one that is expected.
-- Arguments: file of requests (each: its length, a newline, its bytes), file with the expected body, and whether it is
-- the whole body (`exact`) or must stand in it (`text`).

local requests, index, expected, is_exact, threads = {}, 0, nil, true, {}
bad, first_bad = 0, "" -- read by done()

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
  file = assert(io.open(args[2], "rb"))
  expected = file:read("*a")
  file:close()
  is_exact = args[3] == "exact"
end

function request()
  index = index % #requests + 1
  return requests[index]
end

local function is_right(body)
  if is_exact then return body == expected end
  return body:find(expected, 1, true) ~= nil
end

function response(status, headers, body)
  if status ~= 200 or not is_right(body) then
    bad = bad + 1
    if bad == 1 then
      first_bad = status .. " with " .. #body .. " bytes: " .. body:sub(1, 200):gsub("[^%w%p ]", "?")
    end
  end
end

function done(summary, latency)
  local all_bad, first = 0, ""
  for _, thread in ipairs(threads) do
    all_bad = all_bad + thread:get("bad")
    if first == "" then first = thread:get("first_bad") end
  end
  local errors = summary.errors
  io.write(string.format(
    'figures {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "bad": %d, ' ..
    '"failed": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), all_bad,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
  io.write("first_bad " .. first .. "\n")
end
