/* A libFuzzer program that asks Python about each input: the function `check` of the module FUZZ_TARGET.

   An exception ends the program, as an overflow does that a sanitizer sees; libFuzzer then keeps the input. */

#include <Python.h>

static PyObject *check;

static void fail(void) {
    PyErr_Print();
    fflush(stdout);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    PyConfig config;
    PyObject *module;
    (void)argc;
    (void)argv;
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0; /* libFuzzer's own say what was run */
    config.parse_argv = 0;
    /* The interpreter of the environment whose packages are used. */
    if (PyStatus_Exception(PyConfig_SetBytesString(&config, &config.program_name, getenv("FUZZ_PYTHON"))) ||
        PyStatus_Exception(Py_InitializeFromConfig(&config)))
        abort();
    PyConfig_Clear(&config);
    module = PyImport_ImportModule(getenv("FUZZ_TARGET"));
    check = module == NULL ? NULL : PyObject_GetAttrString(module, "check");
    if (check == NULL)
        fail();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    PyObject *input = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *result = input == NULL ? NULL : PyObject_CallOneArg(check, input);
    if (result == NULL)
        fail();
    Py_DECREF(result);
    Py_DECREF(input);
    return 0;
}
