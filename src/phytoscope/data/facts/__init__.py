"""What one pass over the pixels learns of every image, kept between runs."""
