"""From objects of the API to facts, and from facts to text: functions alone, without a cluster or a terminal."""
