package balance

import (
	"cmp"
	"slices"
	"strings"
)

// match finds members again: for each place in old, the place in keys that has
// the same key, or -1. Of members with the same key each is found once. Most
// changes are one member more or less, with all others in their places before
// and after it, which needs no map.
func match(old, keys []string) []int32 {
	found := make([]int32, len(old))
	from, end := 0, len(old)
	for ; from < min(end, len(keys)) && old[from] == keys[from]; from++ {
		found[from] = int32(from)
	}
	longer := len(keys) - len(old)
	for ; end > from && end+longer > from && old[end-1] == keys[end-1+longer]; end-- {
		found[end-1] = int32(end - 1 + longer)
	}
	places := make(map[string]int32, end-from)
	for i := from; i < end; i++ {
		places[old[i]] = int32(i)
		found[i] = -1
	}
	for i := from; i < end+longer; i++ {
		if place, ok := places[keys[i]]; ok && found[place] < 0 {
			found[place] = int32(i)
		}
	}
	return found
}

// byName is the places of keys in the order of the keys. What it was for old,
// where that is known, makes it cheap when few have changed: sorting what is
// nearly in order takes one pass.
func byName(keys, old []string, oldOrder []int32) []int32 {
	order := make([]int32, 0, len(keys))
	known := make([]bool, len(keys))
	if len(old) > 0 {
		found := match(old, keys)
		for _, place := range oldOrder {
			if now := found[place]; now >= 0 {
				order = append(order, now)
				known[now] = true
			}
		}
	}
	for i := range keys {
		if !known[i] {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		if names := strings.Compare(keys[a], keys[b]); names != 0 {
			return names
		}
		return cmp.Compare(a, b)
	})
	return order
}
