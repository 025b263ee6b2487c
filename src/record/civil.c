/* The proleptic Gregorian calendar: day numbers and civil dates.
 *
 * Days count from 1970-01-01. Inside, a year begins on 1 March, so that the
 * leap day is its last day and the lengths of months follow one linear rule;
 * 400 such years (an era, 146097 days) repeat exactly. Year 0 is 1 BC. */
#include "record/record_int.h"

#define ERA_DAYS 146097
/* Days from 0000-03-01 to 1970-01-01. */
#define EPOCH_SHIFT 719468

void
tn_record_civil(int64_t days, int32_t *year, uint32_t *month, uint32_t *day)
{
	int64_t z = days + EPOCH_SHIFT;
	int64_t era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
	uint32_t doe = (uint32_t)(z - era * ERA_DAYS);
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint32_t mp = (5 * doy + 2) / 153;
	int64_t y = (int64_t)yoe + era * 400;

	tn_assert(days >= INT32_MIN && days <= INT32_MAX);
	*day = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = (int32_t)(y + (*month <= 2));
}

int64_t
tn_record_days(int32_t year, uint32_t month, uint32_t day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	uint32_t yoe = (uint32_t)(y - era * 400);
	uint32_t mp = month > 2 ? month - 3 : month + 9;
	uint32_t doy = (153 * mp + 2) / 5 + day - 1;
	uint32_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	tn_assert(month >= 1 && month <= 12);
	return era * ERA_DAYS + (int64_t)doe - EPOCH_SHIFT;
}

uint32_t
tn_record_month_days(int64_t year, uint32_t month)
{
	static const uint8_t lengths[12] = { 31, 28, 31, 30, 31, 30, 31, 31,
	    30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	tn_assert(month >= 1 && month <= 12);
	return lengths[month - 1] + (month == 2 && leap);
}

bool
tn_record_date_make(int64_t year, uint32_t month, uint32_t day, int64_t *days)
{
	if (year < -4713 || year > YEAR_MAX || month < 1 || month > 12)
		return false;
	if (day < 1 || day > tn_record_month_days(year, month))
		return false;
	*days = tn_record_days((int32_t)year, month, day);
	return *days >= DAYS_MIN && *days <= DAYS_MAX;
}
