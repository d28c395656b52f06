package main

import (
	"bytes"
	"encoding/json"
	"log"
	"slices"
	"time"

	"github.com/epcclogs/epcclogs/epcclogstest"
)

// rendered holds logs as JSON. A list longer than that has them again and again,
// under other ids and times.
type rendered struct {
	bytes  []byte // each log followed by a comma
	starts []int  // of the logs in bytes, and its length
	times  []int  // of the logs, in bytes
}

// The number of a record takes the place of the last digits of its id, so that a
// client can be asked whether it got each record once. The id comes first.
const (
	numberStart = len(`{"id":"00000000-0000-0000-0000-`)
	numberEnd   = numberStart + 12
)

func render(n int) rendered {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // the service does not either
	var starts, times []int
	for _, l := range epcclogstest.SampleLogs("ff8634a8-a89e-4eac-baab-9b7b8c4f8720", n) {
		starts = append(starts, b.Len())
		l.Meta.Timestamps.CreatedAt = time.Unix(0, 0).UTC() // as long as any other without fractions
		if err := encoder.Encode(l); err != nil {
			log.Fatal(err)
		}
		b.Bytes()[b.Len()-1] = ',' // was a newline
		name := []byte(`"created_at":"`)
		times = append(times, bytes.LastIndex(b.Bytes(), name)+len(name))
	}
	return rendered{slices.Clone(b.Bytes()), append(starts, b.Len()), times}
}

// array returns the records from one number to another, not included.
func (r rendered) array(from, to int, created func(number int) time.Time) []byte {
	n := len(r.starts) - 1
	b := make([]byte, 1, 1024*(to-from+1))
	b[0] = '['
	for from < to {
		first := from % n
		count := min(to-from, n-first)
		shift := len(b) - r.starts[first]
		b = append(b, r.bytes[r.starts[first]:r.starts[first+count]]...)
		for i := range count {
			at := r.starts[first+i] + shift
			putNumber(b[at+numberStart:at+numberEnd], from+i)
			at = r.times[first+i] + shift
			created(from+i).AppendFormat(b[at:at], time.RFC3339)
		}
		from += count
	}
	return append(bytes.TrimSuffix(b, []byte(",")), ']')
}

func putNumber(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
