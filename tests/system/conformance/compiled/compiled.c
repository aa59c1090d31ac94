/* An extension module of the package, initialised in one phase or in two; it imports from the package both ways. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifdef MULTI_PHASE
#define NAME "conform.native.multi_phase"
#else
#define NAME "conform.native.single_phase"
#endif

static const char said[] = "v1";

static PyObject *
version(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyUnicode_FromString(said);
}

static PyObject *
version_in(PyObject *module)
{
    if (module == NULL)
        return NULL;
    PyObject *found = PyObject_GetAttrString(module, "VERSION");
    Py_DECREF(module);
    return found;
}

static PyObject *
imports_plain(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return version_in(PyImport_ImportModule("conform.parts.value"));
}

/* As Cython imports for `from ..parts.value import VERSION`. */
static PyObject *
imports_level(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *names = Py_BuildValue("[s]", "VERSION");
    if (names == NULL)
        return NULL;
    PyObject *module = PyImport_ImportModuleLevel("parts.value", PyModule_GetDict(self), NULL, names, 2);
    Py_DECREF(names);
    return version_in(module);
}

static PyMethodDef sample_methods[] = {{"version", version, METH_NOARGS, NULL}, {NULL}};

static PyTypeObject Sample = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = NAME ".Sample",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = sample_methods,
    .tp_new = PyType_GenericNew,
};

static PyMethodDef methods[] = {
    {"version", version, METH_NOARGS, NULL},
    {"imports_plain", imports_plain, METH_NOARGS, NULL},
    {"imports_level", imports_level, METH_NOARGS, NULL},
    {NULL},
};

static int
fill(PyObject *module)
{
    return PyModule_AddType(module, &Sample);
}

#ifdef MULTI_PHASE
static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = NAME, .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC
PyInit_multi_phase(void)
{
    return PyModuleDef_Init(&definition);
}
#else
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = NAME, .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_single_phase(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && fill(module) < 0)
        Py_CLEAR(module);
    return module;
}
#endif
