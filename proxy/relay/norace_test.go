//go:build !race

package relay

const bulkBytes = 1 << 30 // what each side sends in the bulk test
