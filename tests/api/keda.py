"""Calls the external scaler at the address in argv as KEDA does, and prints what it said as JSON."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(sys.prefix)))

import externalscaler_pb2 as messages
import externalscaler_pb2_grpc as service
import grpc

SOON = 30


def main(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        scaler = service.ExternalScalerStub(channel)
        metadata = {"queue": "py", "slotsPerReplica": "8", "scalerAddress": address}
        ref = messages.ScaledObjectRef(name="worker", namespace="leasehold", scalerMetadata=metadata)
        spec = scaler.GetMetricSpec(ref, timeout=SOON).metricSpecs[0]
        streamed = any(answer.result for answer in until_active(scaler.StreamIsActive(ref, timeout=SOON)))
        question = messages.GetMetricsRequest(scaledObjectRef=ref, metricName=spec.metricName)
        value = scaler.GetMetrics(question, timeout=SOON).metricValues[0]
        try:
            scaler.IsActive(messages.ScaledObjectRef(name="worker"), timeout=SOON)
            refused = None
        except grpc.RpcError as error:
            refused = error.code().name
        print(json.dumps({
            "spec": [spec.metricName, spec.targetSize, spec.targetSizeFloat],
            "streamed": streamed,
            "active": scaler.IsActive(ref, timeout=SOON).result,
            "value": [value.metricValue, value.metricValueFloat],
            "refused": refused,
        }))


def until_active(stream):
    for answer in stream:
        yield answer
        if answer.result:
            stream.cancel()
            return


main(sys.argv[1])
