package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Why a text of a health check means nothing.
var (
	ErrHex    = errors.New("is not hex: two digits for each byte, without spaces")
	ErrStatus = errors.New("is neither a status from 100 to 599 nor a range such as 200-299")
)

// StatusRange is the HTTP statuses from First to Last, both included.
type StatusRange struct{ First, Last uint16 }

// ParseStatusRange reads "200" or "200-299". The error wraps ErrStatus.
func ParseStatusRange(text string) (StatusRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := parseStatus(first)
	b, errB := parseStatus(last)
	if errA != nil || errB != nil || a > b {
		return StatusRange{}, fmt.Errorf("%q %w", text, ErrStatus)
	}
	return StatusRange{a, b}, nil
}

func parseStatus(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 100 || n > 599 || len(text) != 3 {
		return 0, ErrStatus
	}
	return uint16(n), nil
}

// ParsePayload reads a text of TCPHealthCheck. The error wraps ErrHex.
func ParsePayload(text string) ([]byte, error) {
	payload, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%q %w", text, ErrHex)
	}
	return payload, nil
}
