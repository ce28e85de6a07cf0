package accesslog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// timeFields are the conversions of strftime(3) that START_TIME takes, as
// layouts of package time.
var timeFields = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'j': "002", 'z': "-0700", 'Z': "MST",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'c': "Mon Jan _2 15:04:05 2006",
}

// timePart is text, a layout, seconds since 1970, or a fraction of a second.
type timePart struct {
	text   string
	layout string
	unix   bool
	digits int // of the fraction
}

func (p timePart) append(dst []byte, t time.Time) []byte {
	switch {
	case p.layout != "":
		return t.AppendFormat(dst, p.layout)
	case p.unix:
		return strconv.AppendInt(dst, t.Unix(), 10)
	case p.digits > 0:
		nanos := t.Nanosecond()
		for place, i := 100_000_000, 0; i < p.digits; place, i = place/10, i+1 {
			dst = append(dst, '0'+byte(nanos/place%10))
		}
		return dst
	}
	return append(dst, p.text...)
}

// startTime makes START_TIME(format), in UTC, with strftime's conversions and
// Envoy's %s, %f and %1f to %9f.
func startTime(format string) (operator, error) {
	var parts []timePart
	for i := 0; i < len(format); {
		if format[i] != '%' {
			parts = append(parts, timePart{text: format[i : i+1]})
			i++
			continue
		}
		part, size, err := parseTimeField(format[i+1:])
		if err != nil {
			return nil, fmt.Errorf("START_TIME(%s): %w", format, err)
		}
		parts = append(parts, part)
		i += 1 + size
	}
	return func(dst []byte, _ config.LogEvent, r *Record) []byte {
		start := r.Start.UTC()
		for _, part := range parts {
			dst = part.append(dst, start)
		}
		return dst
	}, nil
}

// parseTimeField reads what follows a percent sign, and tells its length.
func parseTimeField(field string) (timePart, int, error) {
	if field == "" {
		return timePart{}, 0, fmt.Errorf("nothing after the last %%")
	}
	switch c := field[0]; {
	case c == '%':
		return timePart{text: "%"}, 1, nil
	case c == 's':
		return timePart{unix: true}, 1, nil
	case c == 'f':
		return timePart{digits: 9}, 1, nil
	case c >= '1' && c <= '9' && len(field) > 1 && field[1] == 'f':
		return timePart{digits: int(c - '0')}, 2, nil
	case timeFields[c] != "":
		return timePart{layout: timeFields[c]}, 1, nil
	}
	return timePart{}, 0, fmt.Errorf("%%%c is not supported; there are %%Y %%m %%d %%H %%M %%S %%z %%Z %%F %%T %%s %%f %%3f %%6f %%9f and more of strftime's", field[0])
}
