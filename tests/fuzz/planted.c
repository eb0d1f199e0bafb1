/* Mistakes for a sanitizer to see, each of which a program without one gets over: `python -m tests.fuzz.sanitize`. */

#include <Python.h>

static PyObject *overflow(PyObject *module, PyObject *data) { /* reads one byte too many of a copy */
    Py_ssize_t size = PyBytes_Size(data);
    unsigned char *copy = PyMem_Malloc((size_t)size + 1), byte;
    (void)module;
    memcpy(copy, PyBytes_AsString(data), (size_t)size + 1);
    byte = ((volatile unsigned char *)copy)[size + 1];
    PyMem_Free(copy);
    return PyLong_FromLong(byte);
}

static PyObject *shift(PyObject *module, PyObject *number) { /* shifts a 1 out of its word */
    (void)module;
    return PyLong_FromLong(1 << PyLong_AsLong(number));
}

static PyMethodDef methods[] = {{"overflow", overflow, METH_O, NULL}, {"shift", shift, METH_O, NULL}, {NULL}};
static struct PyModuleDef planted = {PyModuleDef_HEAD_INIT, "planted", NULL, -1, methods};

PyMODINIT_FUNC PyInit_planted(void) { return PyModule_Create(&planted); }
