// Prints what Flux' kstatus makes of Kubernetes objects: JSON documents on standard input, a status per line.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	for documents := json.NewDecoder(os.Stdin); ; {
		var text json.RawMessage
		if err := documents.Decode(&text); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		var object unstructured.Unstructured // reads whole numbers as int64, which kstatus expects
		if err := object.UnmarshalJSON(text); err != nil {
			log.Fatal(err)
		}
		result, err := status.Compute(&object)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.Status)
	}
}
