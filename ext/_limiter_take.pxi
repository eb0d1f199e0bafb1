# How units are taken from cells that other processes use at the same time, and may die using.
#
# A cell is 16 bytes, its caller (64 bits of the key's hash; 0: free) and its theoretical arrival time, and changes as one.
# A time with its highest bit set is a claim: the other bits number it. A claimed cell admits nothing until whoever claimed
# it has looked through the row for another cell of the same caller, and puts a time in the claim's place. Thus:
#  - Of two who claim cells for one caller, the later sees the earlier's claim, and takes it away, or its cell, and uses
#    that. A claim taken away is never fulfilled: its number is found no more. So a caller has one cell at most.
#  - Who charges the shared cell looks through the row once more afterwards, and who claims a cell reads the shared one
#    after the claim: the one or the other sees what its caller did elsewhere.
#  - Who takes a full cell notes its time in `dropped` first, and who begins a cell reads `dropped` last. A table that
#    forgets gives cells away that are not full, too; of these it notes nothing.
#  - A process that dies leaves a claim, which others take away, or a note or a charge too many: no limit is lifted.

cdef enum:
    MAX_TRIES = 200  # of one call that others forestall; whoever is that unlucky is refused
    OLD_CLAIMS = 1000  # after so many later ones in the table a claim is taken for a dead process's

cdef enum Outcome:
    REFUSED, OWN, SHARED, FORESTALLED

cdef uint64_t CLAIMED = <uint64_t>1 << 63
cdef uint64_t LONGEST_NS = <uint64_t>1 << 62

cdef struct Header:
    uint64_t magic
    uint64_t max_cells
    uint64_t secret[2]
    uint64_t forgets
    uint64_t unused[3]  # what changes lies elsewhere than what does not
    uint64_t dropped
    uint64_t num_claims

cdef struct Ask:
    Header *header
    Cell *row
    int row_cells
    uint64_t *shared
    uint64_t id
    uint64_t interval
    uint64_t burst
    uint64_t refill
    uint64_t units
    uint64_t now
    bint is_owed  # charged without asking
    uint64_t tat  # the answer: the cell afterwards, as it decides


cdef Outcome take(Ask *ask) noexcept nogil:
    """Take the units from the caller's cell, or from what it begins with."""
    cdef int i
    cdef Cell seen
    cdef Cell *cell
    cdef Outcome outcome
    for i in range(MAX_TRIES):
        cell = find(ask, &seen)
        outcome = take_own(ask, cell, &seen) if cell != NULL else take_new(ask)
        if outcome != FORESTALLED:
            return outcome
    ask.tat = ask.now + ask.refill
    return REFUSED


cdef Cell *find(Ask *ask, Cell *seen) noexcept nogil:
    """Find the caller's cell."""
    cdef int place
    cdef Cell *cell = ask.row
    for place in range(ask.row_cells):
        if load(&cell.id) == ask.id:
            seen.tat = load(&cell.tat)
            if not seen.tat & CLAIMED:
                seen.id = ask.id
                return cell
        cell += 1
    return NULL


cdef inline bint decide(Ask *ask, uint64_t tat, uint64_t *next_tat) noexcept nogil:
    """Whether a cell that stood at `tat` admits the units, and where it then stands. All fits into 64 bits."""
    cdef uint64_t begin = tat if tat > ask.now else ask.now
    if ask.is_owed:
        next_tat[0] = ask.now + LONGEST_NS
        if ask.units <= LONGEST_NS // ask.interval and begin + ask.units * ask.interval < next_tat[0]:
            next_tat[0] = begin + ask.units * ask.interval
        next_tat[0] = next_tat[0] if next_tat[0] > tat else tat
        return True
    ask.tat = begin
    if ask.units > ask.burst or begin + ask.units * ask.interval > ask.now + ask.refill:
        return False
    ask.tat = next_tat[0] = begin + ask.units * ask.interval
    return True


cdef Outcome take_own(Ask *ask, Cell *cell, Cell *seen) noexcept nogil:
    cdef int i
    cdef bint is_admitted
    cdef uint64_t next_tat = 0
    for i in range(MAX_TRIES):
        is_admitted = decide(ask, seen.tat, &next_tat)
        if not is_admitted or ask.units == 0:  # nothing is written that would prove that caller and time were read at once
            return FORESTALLED if load(&cell.id) != ask.id else OWN if is_admitted else REFUSED
        if swap_cell(cell, seen, ask.id, next_tat):
            return OWN
        if seen.id != ask.id or seen.tat & CLAIMED:
            break
    return FORESTALLED


cdef inline uint64_t start(Ask *ask) noexcept nogil:
    """What a newcomer starts with."""
    cdef uint64_t shared = load(ask.shared), dropped = load(&ask.header.dropped)
    return shared if shared > dropped else dropped


cdef Outcome take_new(Ask *ask) noexcept nogil:
    """Claim a cell for the caller, see that it is the only one, and begin it."""
    cdef uint64_t next_tat = 0
    cdef Cell claim
    cdef Cell *cell
    if not decide(ask, start(ask), &next_tat):
        return REFUSED
    if ask.units == 0:
        return OWN
    cell = find_room(ask, &claim)
    if cell == NULL:
        return take_shared(ask)
    if claim.id and claim.tat <= ask.now:
        raise_to(&ask.header.dropped, claim.tat)
    next_tat = CLAIMED | next_of(&ask.header.num_claims)
    if not swap_cell(cell, &claim, ask.id, next_tat):
        return FORESTALLED
    claim.id = ask.id
    claim.tat = next_tat
    if not is_alone(ask, cell):
        swap_cell(cell, &claim, 0, 0)
        return FORESTALLED
    if not decide(ask, start(ask), &next_tat):
        swap_cell(cell, &claim, 0, 0)
        return REFUSED
    return OWN if swap_cell(cell, &claim, ask.id, next_tat) else FORESTALLED


cdef Cell *find_room(Ask *ask, Cell *found) noexcept nogil:
    """Find the cell that a newcomer may take: a free one, else that which is full for longest, else an old claim.

    In a table that forgets also that which will be full the soonest.
    """
    cdef int place
    cdef uint64_t id, tat, least = CLAIMED
    cdef uint64_t latest = CLAIMED if ask.header.forgets else ask.now
    cdef uint64_t num_claims = load(&ask.header.num_claims)
    cdef Cell *room = NULL
    cdef Cell *cell = ask.row
    for place in range(ask.row_cells):
        id = load(&cell.id)
        tat = load(&cell.tat)
        if id == 0 and tat == 0:
            found.id = found.tat = 0
            return cell
        if (tat < least and tat <= latest) or (room == NULL and tat >= CLAIMED and is_old(num_claims, tat)):
            least = tat
            room = cell
            found.id = id
            found.tat = tat
        cell += 1
    return room


cdef inline bint is_old(uint64_t num_claims, uint64_t tat) noexcept nogil:
    return num_claims - (tat & ~CLAIMED) >= OLD_CLAIMS


cdef bint is_alone(Ask *ask, Cell *own) noexcept nogil:
    """Take away all other claims of the caller (`own`: a cell to leave out). Returns False where it has a cell."""
    cdef int place, i
    cdef Cell seen
    cdef Cell *cell = ask.row
    for place in range(ask.row_cells):
        if cell != own:
            seen.id = load(&cell.id)
            seen.tat = load(&cell.tat)
            for i in range(MAX_TRIES):
                if seen.id != ask.id:
                    break
                if not seen.tat & CLAIMED or i == MAX_TRIES - 1:
                    return False
                if swap_cell(cell, &seen, 0, 0):
                    break
        cell += 1
    return True


cdef Outcome take_shared(Ask *ask) noexcept nogil:
    """Charge the cell that newcomers share, and see that the caller did not get one of its own meanwhile."""
    cdef int i
    cdef uint64_t next_tat = 0, begin
    cdef uint64_t shared = load(ask.shared)
    for i in range(MAX_TRIES):
        begin = load(&ask.header.dropped)
        begin = begin if begin > shared else shared
        if not decide(ask, begin, &next_tat):
            return REFUSED
        if swap(ask.shared, &shared, next_tat):
            break
    else:
        return FORESTALLED
    if not is_alone(ask, NULL):
        return FORESTALLED
    # One that it got, and lost again, during the last look is among the dropped: what was begun with has to cover it.
    begin = begin if begin > ask.now else ask.now
    return SHARED if load(&ask.header.dropped) <= begin else FORESTALLED


cdef void give_back(Ask *ask) noexcept nogil:
    """Give the units back to the caller's cell, where it has one still."""
    cdef int i
    cdef uint64_t least, next_tat
    cdef Cell seen
    cdef Cell *cell = find(ask, &seen)
    if cell == NULL:
        return
    for i in range(MAX_TRIES):
        least = seen.tat if seen.tat < ask.now else ask.now
        next_tat = seen.tat - ask.units * ask.interval if seen.tat > ask.units * ask.interval else 0
        next_tat = next_tat if next_tat > least else least
        if swap_cell(cell, &seen, ask.id, next_tat) or seen.id != ask.id or seen.tat & CLAIMED:
            return
