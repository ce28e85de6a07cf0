//go:build race

package relay

const bulkBytes = 64 << 20 // what each side sends in the bulk test
