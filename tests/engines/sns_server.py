"""Serves moto's SNS and SQS, with a topic and a FIFO topic that queues listen to.

Prints one line of JSON: the endpoint and the topics' ARNs. Then for each line on stdin, one of
`plain` or `fifo`, the messages that have come to that topic since, as one line of JSON.
"""

import json
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"


def client(service):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
    )


sns, sqs = client("sns"), client("sqs")
topics, queues = {}, {}
for kind, ending, attributes in [("plain", "", {}), ("fifo", ".fifo", {"FifoTopic": "true"})]:
    topics[kind] = sns.create_topic(Name=f"alarms{ending}", Attributes=attributes)["TopicArn"]
    fifo = {"FifoQueue": "true"} if ending else {}
    queue = sqs.create_queue(QueueName=f"alarms{ending}", Attributes=fifo)["QueueUrl"]
    queues[kind] = queue
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topics[kind], Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
print(json.dumps({"endpoint": endpoint, **topics}), flush=True)

for line in sys.stdin:
    queue = queues[line.strip()]
    messages = []
    while received := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, AttributeNames=["All"]
    ).get("Messages"):
        for message in received:
            messages.append({"body": json.loads(message["Body"]), **message.get("Attributes", {})})
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    print(json.dumps(messages), flush=True)
server.stop()
