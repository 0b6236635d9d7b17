/* Inside of src/json: the text of a finite double, as Python's repr or as orjson writes it. */
#ifndef DM_JSON_NUMBER_TEXT_H
#define DM_JSON_NUMBER_TEXT_H

#include "json/value.h"

void dm_float_text(dm_buf *b, double v, bool python);

#endif
