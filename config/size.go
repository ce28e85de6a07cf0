package config

import "fmt"

// Size is a number of bytes. In files it is a whole number, or one with KiB,
// MiB or GiB.
type Size int64

// String gives the size with the largest unit that leaves it whole.
func (s Size) String() string {
	for _, unit := range []struct {
		size Size
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if s != 0 && s%unit.size == 0 {
			return fmt.Sprintf("%d%s", s/unit.size, unit.name)
		}
	}
	return fmt.Sprint(int64(s))
}
