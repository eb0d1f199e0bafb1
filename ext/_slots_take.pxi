# How slots are taken and given back by processes of which each may die at any moment.
#
# A cell is 16 bytes that change as one: whose it is (64 bits of the key's hash; 0: nobody's yet), and a word that says
# how many slots are taken and what was done last: what, by which holder, and the number of that change. Each holder has a
# word of its own for each cell: how many of the slots are its, and which change of its own was counted last. Thus:
#  - Who changes a cell makes sure first that its last change is counted at its holder, also that of another, and counts
#    its own afterwards. Whoever dies in between leaves one change at most, which the next one counts. So what the holders
#    have is, but for the last change, always what is taken.
#  - A change is counted once: the number in the holder's word tells that it was. A look at the cell, after that at the
#    holder's word, shows that the change is still the last, so that no later one can have been counted.
#  - A cell without slots may become another key's. Two processes may take two cells for one key; who has taken a slot
#    looks through the row for another cell of the key that has some, gives its own back if there is one, and tries again.
#    Of two the later sees the earlier, so that at the end a key has slots in one cell only.
#  - Each change has a number of its own, so that a cell which shows the same word twice was the same in between.

cdef enum:
    TRIES = 200  # of one call that others forestall; whoever is that unlucky is refused
    HOLDER_AT = 22
    WHAT_AT = 20
    NUMBER_AT = 28

cdef enum What:
    NOTHING, TAKEN, GIVEN, CLEARED

cdef uint64_t MOST = (1 << WHAT_AT) - 1

cdef struct Table:
    Cell *cells  # the second word of a cell is called `tat` elsewhere
    uint64_t *owns  # of each holder one after the other
    uint64_t num_cells
    int row_cells


cdef inline uint64_t changed(uint64_t word, uint64_t total, What what, uint64_t holder) noexcept nogil:
    return ((word >> NUMBER_AT) + 1) << NUMBER_AT | holder << HOLDER_AT | <uint64_t>what << WHAT_AT | total


cdef inline uint64_t *own_word(Table *table, uint64_t place, uint64_t holder) noexcept nogil:
    return &table.owns[holder * table.num_cells + place]


cdef inline void look(Cell *cell, Cell *seen) noexcept nogil:
    """Read a cell as it was at one moment."""
    while True:
        seen.tat = load(&cell.tat)
        seen.id = load(&cell.id)
        if load(&cell.tat) == seen.tat:
            return


cdef bint count_in(Table *table, uint64_t place, uint64_t word) noexcept nogil:
    """Count a cell's last change at its holder, unless it is. Returns False where it is the last one no more."""
    cdef int what = (word >> WHAT_AT) & 3
    cdef uint64_t *own = own_word(table, place, (word >> HOLDER_AT) & 63)
    cdef uint64_t told = load(own)
    cdef uint64_t number = told & MOST
    if what == NOTHING or told >> NUMBER_AT == word >> NUMBER_AT:
        return True
    if load(&table.cells[place].tat) != word:
        return False
    number = number + 1 if what == TAKEN else number - 1 if what == GIVEN else 0
    swap(own, &told, word >> NUMBER_AT << NUMBER_AT | number)  # where this fails another has counted it
    return True


cdef int64_t find_cell(Table *table, uint64_t row, uint64_t id, Cell *seen) noexcept nogil:
    """Find the cell of a key: one that has slots, else one that was its, else one that is free; -1: there is none."""
    cdef int64_t found = -1
    cdef uint64_t place
    cdef int rank, best = 0
    cdef Cell now
    for place in range(row, row + table.row_cells):
        look(&table.cells[place], &now)
        rank = (3 if now.tat & MOST else 2) if now.id == id else 0 if now.tat & MOST else 1
        if rank > best:
            best = rank
            found = place
            seen[0] = now
    return found


cdef int64_t take_slot(Table *table, uint64_t row, uint64_t id, uint64_t limit, uint64_t holder) noexcept nogil:
    """Take a slot and return its place; -1: there is none."""
    cdef int i
    cdef int64_t place
    cdef uint64_t word
    cdef Cell seen
    for i in range(TRIES):
        place = find_cell(table, row, id, &seen)
        if place < 0 or seen.tat & MOST >= limit:
            return -1
        if not count_in(table, place, seen.tat):
            continue
        word = changed(seen.tat, (seen.tat & MOST) + 1, TAKEN, holder)
        if not swap_cell(&table.cells[place], &seen, id, word):
            continue
        count_in(table, place, word)
        if is_only(table, row, id, place):
            return place
        give_slot(table, place, holder)
    return -1


cdef bint is_only(Table *table, uint64_t row, uint64_t id, uint64_t own) noexcept nogil:
    """Whether no other cell has slots of the key."""
    cdef uint64_t place
    cdef Cell seen
    for place in range(row, row + table.row_cells):
        if place != own and load(&table.cells[place].id) == id:
            look(&table.cells[place], &seen)
            if seen.id == id and seen.tat & MOST:
                return False
    return True


cdef bint give_slot(Table *table, uint64_t place, uint64_t holder) noexcept nogil:
    """Give a slot of the holder back. Returns False where it has none."""
    return leave(table, place, holder, GIVEN) > 0


cdef uint64_t leave(Table *table, uint64_t place, uint64_t holder, What what) noexcept nogil:
    """Give back one slot of the holder, or all that it has (`CLEARED`); return how many."""
    cdef uint64_t word, number
    cdef Cell seen
    while True:  # whoever forestalls this has got on
        look(&table.cells[place], &seen)
        if not count_in(table, place, seen.tat):
            continue
        number = load(own_word(table, place, holder)) & MOST
        if number == 0:
            return 0
        number = 1 if what == GIVEN else number
        word = changed(seen.tat, (seen.tat & MOST) - number, what, holder)
        if swap_cell(&table.cells[place], &seen, seen.id, word):
            count_in(table, place, word)
            return number
