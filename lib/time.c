/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdbool.h>
#include <strings.h>

#include "lib/time.h"

#define SECOND ((int64_t) USEC_PER_SEC)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

typedef struct Unit {
        const char *word;
        int64_t usec;
} Unit;

static const Unit units[] = {
        { "us", 1 },              { "usec", 1 },
        { "ms", 1000 },           { "msec", 1000 },
        { "s", SECOND },          { "sec", SECOND },     { "second", SECOND }, { "seconds", SECOND },
        { "m", MINUTE },          { "min", MINUTE },     { "minute", MINUTE }, { "minutes", MINUTE },
        { "h", HOUR },            { "hr", HOUR },        { "hour", HOUR },     { "hours", HOUR },
        { "d", DAY },             { "day", DAY },        { "days", DAY },
        { "w", 7 * DAY },         { "week", 7 * DAY },   { "weeks", 7 * DAY },
        { "month", 2630016 * SECOND },                   { "months", 2630016 * SECOND },
        { "y", 31557600 * SECOND }, { "year", 31557600 * SECOND }, { "years", 31557600 * SECOND },
};

static void skip_blanks(const char **s) {
        *s += strspn(*s, " \t");
}

/* Takes a word if it stands at s and ends there. */
static bool take_word(const char **s, const char *word) {
        size_t n = strlen(word);
        char after;

        if (strncasecmp(*s, word, n) != 0)
                return false;
        after = (*s)[n];
        if (after != '\0' && after != ' ' && after != '\t')
                return false;
        *s += n;
        skip_blanks(s);
        return true;
}

/* Takes between least and most digits. */
static bool take_number(const char **s, size_t least, size_t most, int64_t *ret) {
        size_t n = strspn(*s, "0123456789");
        int64_t value = 0;

        if (n < least || n > most)
                return false;
        for (size_t i = 0; i < n; i++)
                value = value * 10 + ((*s)[i] - '0');
        *s += n;
        *ret = value;
        return true;
}

/* Takes ".25" as 250,000; digits beyond microseconds are dropped. Nothing there is 0. */
static bool take_fraction(const char **s, int64_t *ret) {
        int64_t value = 0, place = SECOND / 10;

        if (**s == '.') {
                (*s)++;
                if (**s < '0' || **s > '9')
                        return false;
                for (; **s >= '0' && **s <= '9'; (*s)++, place /= 10)
                        value += (**s - '0') * place;
        }
        *ret = value;
        return true;
}

/* HH:MM[:SS[.fraction]] */
static bool take_clock(const char **s, struct tm *tm, int64_t *ret_fraction) {
        int64_t hour, minute, second = 0;

        if (!take_number(s, 1, 2, &hour) || *(*s)++ != ':' || !take_number(s, 2, 2, &minute))
                return false;
        if (**s == ':') {
                (*s)++;
                if (!take_number(s, 2, 2, &second) || !take_fraction(s, ret_fraction))
                        return false;
        }
        if (hour > 23 || minute > 59 || second > 60)
                return false;
        tm->tm_hour = (int) hour;
        tm->tm_min = (int) minute;
        tm->tm_sec = (int) second;
        return true;
}

/* YYYY-MM-DD, a day that the calendar has. */
static bool take_date(const char **s, struct tm *tm) {
        static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        int64_t year, month, day;

        if (!take_number(s, 4, 4, &year) || *(*s)++ != '-' || !take_number(s, 2, 2, &month) ||
            *(*s)++ != '-' || !take_number(s, 2, 2, &day))
                return false;
        if (month < 1 || month > 12 || day < 1 || day > days[month - 1])
                return false;
        if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
                return false;
        tm->tm_year = (int) year - 1900;
        tm->tm_mon = (int) month - 1;
        tm->tm_mday = (int) day;
        return true;
}

/* "2 hours 30min": the sum. */
static bool take_span(const char **s, int64_t *ret) {
        int64_t sum = 0;
        bool any = false;

        while (**s >= '0' && **s <= '9') {
                const Unit *unit = NULL;
                int64_t number, part;
                size_t n;

                if (!take_number(s, 1, 18, &number))
                        return false;
                skip_blanks(s);
                n = strspn(*s, "abcdefghijklmnopqrstuvwxyz");
                for (size_t i = 0; i < ELEMENTS(units); i++)
                        if (strlen(units[i].word) == n && strncmp(units[i].word, *s, n) == 0)
                                unit = &units[i];
                if (!unit || __builtin_mul_overflow(number, unit->usec, &part) ||
                    __builtin_add_overflow(sum, part, &sum))
                        return false;
                *s += n;
                skip_blanks(s);
                any = true;
        }
        *ret = sum;
        return any;
}

static int parse_relative(const char *s, int64_t now, int64_t *ret) {
        bool future = *s == '+';
        int64_t span;

        if (*s == '+' || *s == '-')
                s++;
        skip_blanks(&s);
        if (!take_span(&s, &span))
                return TIME_E_UNKNOWN;
        if (take_word(&s, "ago"))
                future = false;
        if (*s || (future ? __builtin_add_overflow(now, span, ret) : __builtin_sub_overflow(now, span, ret)))
                return TIME_E_UNKNOWN;
        return 0;
}

static int parse_epoch(const char *s, int64_t *ret) {
        int64_t seconds, fraction;

        if (!take_number(&s, 1, 12, &seconds) || !take_fraction(&s, &fraction) || *s)
                return TIME_E_UNKNOWN;
        *ret = seconds * SECOND + fraction;
        return 0;
}

/* A day, by name or by date or else today, and then a clock time or else midnight. */
static int parse_calendar(const char *s, int64_t now, int64_t *ret) {
        time_t now_seconds = (time_t) (now / SECOND), seconds;
        int64_t fraction = 0;
        bool utc = false, day = true;
        struct tm tm;

        if (!localtime_r(&now_seconds, &tm))
                return TIME_E_UNKNOWN;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_isdst = -1;
        if (take_word(&s, "yesterday"))
                tm.tm_mday--;
        else if (take_word(&s, "tomorrow"))
                tm.tm_mday++;
        else if (strspn(s, "0123456789") == 4) {
                if (!take_date(&s, &tm) || (*s && *s != ' ' && *s != 'T' && *s != 'Z'))
                        return TIME_E_UNKNOWN;
                if (*s == 'T' && (s[1] < '0' || s[1] > '9'))
                        return TIME_E_UNKNOWN;
                s += *s == 'T' ? 1 : strspn(s, " ");
        } else if (!take_word(&s, "today"))
                day = false;
        if (*s >= '0' && *s <= '9') {
                if (!take_clock(&s, &tm, &fraction))
                        return TIME_E_UNKNOWN;
                day = true;
        }
        skip_blanks(&s);
        if (strcmp(s, "Z") == 0 || strcmp(s, "UTC") == 0) {
                utc = true;
                s = "";
        }
        if (*s || !day)
                return TIME_E_UNKNOWN;
        tm.tm_wday = -1;                /* mktime sets it, unless it fails: -1 is a moment like others */
        seconds = utc ? timegm(&tm) : mktime(&tm);
        if (tm.tm_wday < 0)
                return TIME_E_UNKNOWN;
        *ret = (int64_t) seconds * SECOND + fraction;
        return 0;
}

int time_parse(const char *text, int64_t now, int64_t *ret) {
        const char *s = text, *end;
        int64_t moment = now;
        int r = 0;

        assert(text && ret);
        skip_blanks(&s);
        end = s + strspn(s, "0123456789");
        end += strspn(end, " \t");
        if (*s == '@')
                r = parse_epoch(s + 1, &moment);
        else if (*s == '+' || *s == '-' || (end > s && *end >= 'a' && *end <= 'z'))
                r = parse_relative(s, now, &moment);
        else if (!take_word(&s, "now") || *s)
                r = parse_calendar(s, now, &moment);
        if (r == 0)
                *ret = moment;
        return r;
}

const char *time_format(int64_t usec, char buf[static TIME_TEXT_MAX]) {
        int64_t floor = usec / SECOND - (usec % SECOND < 0);
        time_t seconds = (time_t) floor;
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(buf, TIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                snprintf(buf, TIME_TEXT_MAX, "@%lld", (long long) floor);
        return buf;
}

const char *time_format_span(int64_t usec, char buf[static TIME_TEXT_MAX]) {
        static const struct {
                const char *word;
                int64_t usec, next;
                const char *next_word;
        } steps[] = {
                { "d", DAY, HOUR, "h" },     { "h", HOUR, MINUTE, "min" }, { "min", MINUTE, SECOND, "s" },
                { "s", SECOND, SECOND, "" }, { "ms", 1000, 1000, "" },     { "us", 1, 1, "" },
        };
        const char *sign = usec < 0 ? "-" : "";
        uint64_t span = usec < 0 ? -(uint64_t) usec : (uint64_t) usec;

        for (size_t i = 0; i < ELEMENTS(steps); i++) {
                uint64_t whole = span / (uint64_t) steps[i].usec;
                uint64_t rest = span % (uint64_t) steps[i].usec / (uint64_t) steps[i].next;

                if (whole == 0)
                        continue;
                if (rest > 0)
                        snprintf(buf, TIME_TEXT_MAX, "%s%llu%s %llu%s", sign, (unsigned long long) whole,
                                 steps[i].word, (unsigned long long) rest, steps[i].next_word);
                else
                        snprintf(buf, TIME_TEXT_MAX, "%s%llu%s", sign, (unsigned long long) whole,
                                 steps[i].word);
                return buf;
        }
        snprintf(buf, TIME_TEXT_MAX, "0s");
        return buf;
}
