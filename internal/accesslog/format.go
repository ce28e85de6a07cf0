package accesslog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/config"
)

// istioText is Istio's default line (EnvoyTextLogFormat in istio's
// pilot/pkg/model/telemetry_logging.go).
const istioText = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
	`%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% ` +
	`%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ` +
	`"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ` +
	`%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%`

// Format turns records into lines. It is immutable.
type Format struct {
	json  bool
	parts []part
}

// part is text as it stands, or an operator.
type part struct {
	text  string
	op    operator
	limit int // bytes of the operator's value; 0: all
}

// CheckFormat says what is wrong with an access_log format.
func CheckFormat(format string) error {
	_, err := CompileFormat(format)
	return err
}

// CompileFormat reads json, text (Istio's default line), or a string with
// Envoy's %OPERATORS%: %NAME%, %NAME(argument)%, %NAME:LENGTH%, and %% for a
// percent sign. A newline is added where the string has none at its end.
func CompileFormat(format string) (*Format, error) {
	switch format {
	case "json":
		return &Format{json: true}, nil
	case "text":
		format = istioText
	}
	f := &Format{}
	hasOperator := false
	for rest := format; rest != ""; {
		next, remaining, err := parsePart(rest)
		if err != nil {
			return nil, fmt.Errorf("access log format: %w", err)
		}
		hasOperator = hasOperator || next.op != nil
		f.parts, rest = append(f.parts, next), remaining
	}
	if !hasOperator {
		return nil, fmt.Errorf("access log format %q has no %%OPERATOR%%; give json, text, or a string such as [%%START_TIME%%] %%UPSTREAM_HOST%%", format)
	}
	if !strings.HasSuffix(format, "\n") {
		f.parts = append(f.parts, part{text: "\n"})
	}
	return f, nil
}

// parsePart reads the text up to the next percent sign, or the operator that
// begins with one.
func parsePart(s string) (part, string, error) {
	at := strings.IndexByte(s, '%')
	switch {
	case at < 0:
		return part{text: s}, "", nil
	case at > 0:
		return part{text: s[:at]}, s[at:], nil
	case strings.HasPrefix(s, "%%"):
		return part{text: "%"}, s[2:], nil
	}
	return parseOperator(s[1:])
}

// parseOperator reads NAME, NAME(argument), either with :LENGTH, up to the
// closing percent sign. Arguments may contain percent signs, as those of
// START_TIME do.
func parseOperator(s string) (part, string, error) {
	end := strings.IndexAny(s, "%(:")
	if end < 0 {
		return part{}, "", fmt.Errorf("%%%s is not closed; write %%%% for a percent sign", cut(s, 40))
	}
	name, s := s[:end], s[end:]
	var argument string
	hasArgument := s[0] == '('
	if hasArgument {
		var closed bool
		if argument, s, closed = strings.Cut(s[1:], ")"); !closed {
			return part{}, "", fmt.Errorf("%%%s( has no closing parenthesis", name)
		}
	}
	suffix, rest, closed := strings.Cut(s, "%")
	if !closed {
		return part{}, "", fmt.Errorf("%%%s is not closed; write %%%% for a percent sign", name)
	}
	limit, err := parseLimit(suffix)
	if err != nil {
		return part{}, "", fmt.Errorf("%%%s%s%%: %w", name, suffix, err)
	}
	op, err := findOperator(name, argument, hasArgument)
	return part{op: op, limit: limit}, rest, err
}

func findOperator(name, argument string, hasArgument bool) (operator, error) {
	if hasArgument {
		return withArgument(name, argument)
	}
	if op, known := operators()[name]; known {
		return op, nil
	}
	return nil, unknownOperator(name)
}

func parseLimit(suffix string) (int, error) {
	if suffix == "" {
		return 0, nil
	}
	limit, err := strconv.Atoi(strings.TrimPrefix(suffix, ":"))
	if err != nil || suffix[0] != ':' || limit < 1 {
		return 0, errors.New("after the name only :LENGTH is possible, a number from 1")
	}
	return limit, nil
}

// Append appends the record's line for a moment in its life, newline included.
func (f *Format) Append(dst []byte, ev config.LogEvent, r *Record) []byte {
	if f.json {
		return appendJSON(dst, ev, r)
	}
	for i := range f.parts {
		p := &f.parts[i]
		if p.op == nil {
			dst = append(dst, p.text...)
			continue
		}
		start := len(dst)
		dst = p.op(dst, ev, r)
		if p.limit > 0 && len(dst)-start > p.limit {
			end := start + p.limit
			for end > start && !utf8.RuneStart(dst[end]) {
				end--
			}
			dst = dst[:end]
		}
	}
	return dst
}
