package outlier

import "fmt"

// Warnings says what will not work as its author may think with this number of
// endpoints, 0 for a number not known: a max_ejection_percent that lets none of
// them be ejected. Envoy lets an ejection happen only if those ejected after it
// are at most max_ejection_percent of all, so that its default of 10 ejects
// nothing below ten endpoints.
func Warnings(s Settings, endpoints int) []string {
	if endpoints <= 0 || s.AlwaysEjectOneHost || allowed(s.MaxEjectionPercent, endpoints) > 0 {
		return nil
	}
	if s.MaxEjectionPercent == 0 {
		return []string{"max_ejection_percent 0 lets no endpoint be ejected, only counted: give it more, or set always_eject_one_host"}
	}
	return []string{fmt.Sprintf(
		"max_ejection_percent %d lets none of %d endpoint(s) be ejected: that takes %d endpoints, or max_ejection_percent %d or more, or always_eject_one_host",
		s.MaxEjectionPercent, endpoints, ceil(100, int(s.MaxEjectionPercent)), ceil(100, endpoints))}
}

// allowed is how many of n endpoints may be ejected at a time.
func allowed(percent uint32, n int) int {
	return int(min(percent, 100)) * n / 100
}

func ceil(a, b int) int { return (a + b - 1) / b }
