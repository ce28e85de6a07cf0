//go:build race

package test

const (
	raceEnabled = true
	bulkBytes   = 64 << 20 // what each side sends in the longest streams
)
