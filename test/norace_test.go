//go:build !race

package test

const (
	raceEnabled = false
	bulkBytes   = 1 << 30 // what each side sends in the longest streams
)
