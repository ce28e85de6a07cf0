package accesslog

import (
	"unicode"
	"unicode/utf8"
)

// maxText is how many bytes of a text are shown. A server name is at most 255
// bytes long (RFC 6066, RFC 1035); anything longer is an attack on the log.
const maxText = 255

const hexDigits = "0123456789abcdef"

// cut shortens s to limit bytes, never inside a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// plainPrefix is how many bytes at the beginning of s need no escaping in any
// format; nearly always it is all of them.
func plainPrefix(s string) int {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

// appendJSONString appends s, cut and quoted. Bytes that are not UTF-8 become
// U+FFFD, as encoding/json has it; what does not print is escaped, so that a
// terminal shows the line as it is.
func appendJSONString(dst []byte, s string) []byte {
	s = cut(s, maxText)
	dst = append(dst, '"')
	i := plainPrefix(s)
	for dst = append(dst, s[:i]...); i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			dst = appendJSONByte(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError || unicode.IsPrint(r):
			dst = utf8.AppendRune(dst, r)
		case r > 0xffff: // JSON has surrogate pairs for these; nobody misses them
			dst = utf8.AppendRune(dst, utf8.RuneError)
		default:
			dst = append(dst, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		}
		i += size
	}
	return append(dst, '"')
}

func appendJSONByte(dst []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c < ' ' || c == 0x7f:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, c)
}

// appendText appends s, cut, for lines whose fields are told apart by spaces
// and quotes: those, backslashes and what does not print become \xNN. An
// empty s becomes "-", as in Envoy.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	s = cut(s, maxText)
	i := plainPrefix(s)
	for dst = append(dst, s[:i]...); i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		plain := unicode.IsPrint(r) && r != ' ' && r != '"' && r != '\\' && (r != utf8.RuneError || size > 1)
		for ; size > 0; size-- {
			if plain {
				dst = append(dst, s[i])
			} else {
				dst = append(dst, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&15])
			}
			i++
		}
	}
	return dst
}

// appendOpaque appends bytes of any kind that name something, the same in every
// format: as they are where that is plain text, else in hexadecimal behind 0x. A
// text that begins so is written in hexadecimal too, so that each value has a
// form of its own. It is not cut: who gives it bounds it.
func appendOpaque(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	if plainPrefix(s) == len(s) && (len(s) < 2 || s[:2] != "0x") {
		return append(dst, s...)
	}
	dst = append(dst, '0', 'x')
	for i := range len(s) {
		dst = append(dst, hexDigits[s[i]>>4], hexDigits[s[i]&15])
	}
	return dst
}

// appendSentence is appendText for texts of the proxy itself, which contain
// spaces: they become underscores, as Envoy does it for details.
func appendSentence(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	for i, word := 0, ""; s != ""; i++ {
		if i > 0 {
			dst = append(dst, '_')
		}
		word, s = nextWord(s)
		if word != "" {
			dst = appendText(dst, word)
		}
	}
	return dst
}

func nextWord(s string) (word, rest string) {
	for i := range len(s) {
		if s[i] == ' ' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
