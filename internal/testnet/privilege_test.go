package testnet

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestSubordinateIDs(t *testing.T) {
	const file = "root:100000:65536\n" +
		"small:165536:10\n" +
		"broken line\n" +
		"small:200000:65536\n" +
		"1007:300000:65536\n"
	for _, tc := range []struct {
		name, user, uid, first string
		ok                     bool
	}{
		{"by name", "root", "0", "100000", true},
		{"a small range is passed over", "small", "5", "200000", true},
		{"by uid", "carol", "1007", "300000", true},
		{"no entry", "mallory", "6", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			first, _, ok := subordinateIDs(file, tc.user, tc.uid)
			if first != tc.first || ok != tc.ok {
				t.Errorf("got %q, %v", first, ok)
			}
		})
	}
}

func TestMissingPackages(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	got := MissingPackages("redis-cli", "curl", "redis-cli")
	if want := []string{"curl", "redis-tools"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if path, err := lookPath("ip"); err != nil || filepath.Dir(path) != "/usr/sbin" && filepath.Dir(path) != "/sbin" {
		t.Errorf("ip is not found outside of PATH: %q, %v", path, err)
	}
}
