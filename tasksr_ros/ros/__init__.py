"""The node and everything else that imports ROS 2; nothing outside does."""
