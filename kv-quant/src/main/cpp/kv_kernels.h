// All kernels of one instruction set.
#include "hadamard.h"
#include "transform_kernels.h"
#include "store_kernels.h"
#include "attention_kernels.h"
#include "merge_kernels.h"
#include "grouped_attention.h"
