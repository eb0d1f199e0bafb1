# cython: language_level=3, boundscheck=True, wraparound=False
"""Sums of several rows of numbers, compiled; `_tally_py` specifies them."""

cimport cython
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY

cdef struct Addition:
    double *row
    double *bounds  # NULL: no histogram
    Py_ssize_t num_bounds
    Py_ssize_t place  # in the numbers of a call; below 0: 1 is added


@cython.final
cdef class Tally:
    """Rows that grow together, each by its part of the same few values. As the twin."""

    cdef Addition *_additions
    cdef Py_ssize_t _num
    cdef double *_numbers  # by place, of the call under way
    cdef Py_ssize_t *_places  # those that a step looks at
    cdef Py_ssize_t _num_places
    cdef list _views  # of rows and bounds: what the pointers point into stays

    def __cinit__(self, steps):
        cdef tuple all_steps = tuple(steps)
        cdef list places = sorted({place for _, place, _ in all_steps if place is not None})
        cdef Py_ssize_t at
        self._views = []
        self._num_places = len(places)
        self._places = <Py_ssize_t *>PyMem_Calloc(len(places) + 1, sizeof(Py_ssize_t))
        self._numbers = <double *>PyMem_Calloc(len(places) + 1, sizeof(double))
        self._additions = <Addition *>PyMem_Calloc(len(all_steps) + 1, sizeof(Addition))
        if not self._places or not self._numbers or not self._additions:
            raise MemoryError()
        for at in range(self._num_places):
            self._places[at] = places[at]
        for row, place, bounds in all_steps:
            self._append(row, place, bounds, -1 if place is None else places.index(place))

    def __dealloc__(self):
        PyMem_Free(self._additions)
        PyMem_Free(self._numbers)
        PyMem_Free(self._places)

    cdef int _append(self, row, place, tuple bounds, Py_ssize_t number) except -1:
        cdef Addition *addition = &self._additions[self._num]
        cdef Py_ssize_t needed = 1 if bounds is None else len(bounds) + 2
        cdef double[::1] numbers = row
        cdef double[::1] limits
        if numbers.shape[0] != needed:
            raise ValueError(f"expected a row of {needed} numbers, got {numbers.shape[0]}")
        if place is None and bounds is not None:
            raise ValueError("expected the place of a value for a histogram, got none")
        if place is not None and place < 0:
            raise ValueError(f"expected the place of a value to be 0 or more, got {place}")
        addition.row = &numbers[0]
        addition.place = number
        self._views.append(numbers)
        if bounds is not None:
            addition.num_bounds = len(bounds)
            limits = memoryview(bytearray(8 * len(bounds) + 8)).cast("d")
            for at, bound in enumerate(bounds):
                limits[at] = bound
            addition.bounds = &limits[0]
            self._views.append(limits)
        self._num += 1
        return 0

    def add(self, tuple values not None):
        """Take one set of values in. None may stand where no step looks. As the twin."""
        cdef Py_ssize_t at, place
        cdef double number
        cdef object value
        for at in range(self._num_places):
            place = self._places[at]
            value = values[place]
            if value is None:
                raise TypeError(f"expected a number as value {place}, got None")
            number = PyFloat_AS_DOUBLE(value) if PyFloat_CheckExact(value) else <double>value
            if not 0 <= number < INFINITY:
                raise ValueError(f"expected value {place} to be finite and 0 or more, got {value}")
            self._numbers[at] = number
        for at in range(self._num):
            _grow(&self._additions[at], self._numbers)


cdef inline void _grow(Addition *addition, const double *numbers) noexcept nogil:
    cdef double number = 1.0 if addition.place < 0 else numbers[addition.place]
    if addition.bounds == NULL:
        addition.row[0] += number
        return
    cdef Py_ssize_t low = 0, high = addition.num_bounds, middle
    while low < high:
        middle = (low + high) >> 1
        if addition.bounds[middle] < number:
            low = middle + 1
        else:
            high = middle
    addition.row[low] += 1
    addition.row[addition.num_bounds + 1] += number
