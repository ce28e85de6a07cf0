package native

import (
	"strings"
	"unicode"
)

// snake turns a model field's name into its key: TCPUserTimeout becomes
// tcp_user_timeout, LBPolicy lb_policy, ID id. A word begins at a capital
// after a small letter, and at the last capital of a run, unless that run is
// a plural: SourceIPs becomes source_ips.
func snake(field string) string {
	runes := []rune(field)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) {
			afterSmall := !unicode.IsUpper(runes[i-1])
			beforeSmall := i+1 < len(runes) && unicode.IsLower(runes[i+1]) && !pluralAt(runes, i+1)
			if afterSmall || beforeSmall {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// pluralAt tells whether an s ends a word.
func pluralAt(runes []rune, i int) bool {
	return runes[i] == 's' && (i+1 == len(runes) || unicode.IsUpper(runes[i+1]))
}
