/* The least-squares kernel in 113-bit floating point, for `exact` fits. */
#include <float.h>
#if LDBL_MANT_DIG >= 113
#define REAL long double
#else
#define REAL __float128
#endif
#define REAL_EPS ((REAL)0x1p-112)
#define QR(name) qr_quad_##name
#include "workers/jobs/model/qr_template.h"
